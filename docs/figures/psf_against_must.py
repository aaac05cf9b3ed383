"""Compare the Gaussian PSF of the simulations with the wave simulator PyMUST.

    pip install "napari-ulm3d[simulate]"
    python docs/figures/psf_against_must.py docs/images/psf_against_must.png

Prints the table of docs/simulation.md and draws the profiles.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np

from napari_ulm3d.simulate.imaging.must import MatrixProbe, full_width_um, must_psf

DEPTHS_MM = (5.0, 8.0, 12.0)


def gaussian(z: np.ndarray, y: np.ndarray, x: np.ndarray, widths: list[float], turn: float):
    """Gaussian PSF of the simulations with a carrier of `turn` radians per micrometre."""
    exponent = sum((a / w) ** 2 for a, w in zip((z, y, x), widths, strict=True))
    return np.exp(-4 * np.log(2) * exponent + 1j * turn * z)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    arguments = parser.parse_args()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    probe = MatrixProbe()
    wave = probe.wavelength_um
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained", sharey=True)
    print("depth mm | FWHM z, y, x um | phase slope / (4 pi / wavelength) | first side lobe dB | r")
    for depth_mm in DEPTHS_MM:
        along = [np.arange(-32, 33) * wave / 8, *[np.arange(-36, 37) * 25.0] * 2]
        lines = [
            must_psf(probe, depth_mm * 1000, *(at if k == axis else 0.0 for k in range(3)))
            for axis, at in enumerate(along)
        ]
        widths = [full_width_um(at, np.abs(line)) for at, line in zip(along, lines, strict=True)]
        core = np.abs(along[0]) < widths[0] / 2
        slope = np.polyfit(along[0][core], np.unwrap(np.angle(lines[0][core])), 1)[0]
        beyond = np.abs(along[2]) > widths[2]
        side = 20 * np.log10(np.abs(lines[2])[beyond].max() / np.abs(lines[2]).max())

        # The 3-D image, out to where the Gaussian falls to 1/16.
        grids = np.meshgrid(*(np.linspace(-w, w, n) for w, n in zip(widths, (17, 13, 13), strict=True)),
                            indexing="ij")  # fmt: skip
        image = must_psf(probe, depth_mm * 1000, *grids)
        correlation = {}
        for name, turn in (("own slope", slope), ("4 pi / wavelength", 4 * np.pi / wave)):
            model = gaussian(*grids, widths, turn)
            correlation[name] = abs(np.vdot(model, image)) / (
                np.linalg.norm(model) * np.linalg.norm(image)
            )
        print(
            f"{depth_mm:g} | {', '.join(f'{w:.0f}' for w in widths)} | "
            f"{slope / (4 * np.pi / wave):.2f} | {side:.1f} | "
            + ", ".join(f"{value:.3f} ({name})" for name, value in correlation.items())
        )
        for axis, at, line, letter in zip(axes, along, lines, "zyx", strict=True):
            magnitude = np.abs(line) / np.abs(line).max()
            axis.plot(at, 20 * np.log10(magnitude), label=f"MUST, {depth_mm:g} mm")
            axis.set(xlabel=f"{letter} (um)", ylim=(-40, 1), title=f"along {letter}")
    for axis, width in zip(axes, (197.0, 300.0, 300.0), strict=True):
        at = np.linspace(*axis.get_xlim(), 200)
        axis.plot(
            at, -80 * np.log10(2) * (at / width) ** 2, "k--", label="preset mouse-brain-15MHz"
        )
    axes[0].set_ylabel("dB")
    axes[1].legend(fontsize=7, loc="lower center")
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
