"""Linking localizations into trajectories: gated assignment, smoothing, velocities.

Method. The two stages of simpletracker, the linker of PALA and Open-3DULM: first each pair of
consecutive frames is linked; then chains that ended are continued by chains that begin after up to
`max_gap_frames` missed frames. No link is longer than `max_speed_mm_s` times its duration
(simpletracker has one gate for all gaps). By default, the links between two frames have the greatest joint
likelihood, given the prediction of each track and a model of motion learned from the localizations
(`prediction`, `learning`). With `link.prediction=none`, or if nothing can be learned, there are as many links
as possible, with the least sum of squared distances (`assignment`); with a constant gate, this reproduces
the tracks of MATLAB's simpletracker exactly. Tracks of fewer than `min_length_frames` localizations are
dropped, gaps are interpolated linearly, positions are smoothed and differentiated (see `motion`).

Reasons for our own assignment. Measured by ``python -m benchmarks.linkers`` (AMD EPYC, one core,
Python 3.11, scipy 1.17, laptrack 0.17, trackpy 0.7): time in ms and precision / recall of the
links for 200 frames in 3-D, with 80 points per frame without gaps, 400 points per frame without
gaps, and 370 points per frame with 10 % of the bubbles missed and gaps of one frame closed.

==========================================  ==================  ==================  ==================
linker                                      80 a frame          400 a frame         10 % missed
==========================================  ==================  ==================  ==================
with prediction=none                          16  .997 / .992     67  .968 / .960     89  .911 / .856
scipy `linear_sum_assignment`, whole pair     50  the same       842  the same       847  the same
the same, each connected component           118  the same       495  the same       660  the same
scipy `min_weight_full_bipartite_matching`    53  the same       150  the same       210  the same
laptrack                                     149  .997 / .992   1077  .968 / .959  28351  .911 / .662
trackpy                                       44  .997 / .992    941  .962 / .927    945  .922 / .779
==========================================  ==================  ==================  ==================

All exact solvers give the same links, so speed decides, and the compiled kernel needs no new
dependency. 10^6 localizations are linked and tabulated in 4 s. The first row is without prediction; with it,
the three scenes give .997 / .992, .973 / .966 and .943 / .902, in about 1.5 times the time.

Alternatives (`docs/benchmarks.md`, "Linking"). A fixed cost of not linking: one squared gate (trackpy's rule)
reduces recall from .960 to .927 in a simulated crowd; two (laptrack's) gain .03 with real bubbles that
come and go at 100 Hz, where the prediction gains .08. A prediction without its uncertainty
is worse where localization errors are large (.777 -> .749 with 20 um). Velocities supplied with the
localizations (columns ``vz_mm_s, vy_mm_s, vx_mm_s``) are used as measurements, with an error that is learned: with
errors of 20 % they give .961 / .920 with missed bubbles, and they helped in every scene.
"""

from napari_ulm3d.link.chance import ChanceSample, ChanceTracks, chance_tracks
from napari_ulm3d.link.interpolation import interpolate
from napari_ulm3d.link.linking import link, link_frames
from napari_ulm3d.link.speed import USUAL_MM_S, with_speed

__all__ = [
    "USUAL_MM_S",
    "ChanceSample",
    "ChanceTracks",
    "chance_tracks",
    "interpolate",
    "link",
    "link_frames",
    "with_speed",
]
