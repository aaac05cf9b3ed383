"""Forms made of the settings: what is typed, dragged, refused and kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import choose, enter
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QWidget

from napari_ulm3d.config import LoadConfig, PipelineConfig, StageConfig
from napari_ulm3d.plugin.controls.control import Control, control_for
from napari_ulm3d.plugin.controls.fields.number_box import (
    Bounds,
    NumberBox,
    parse_number,
    split_numbers,
)
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.tint import TONES, tint
from napari_ulm3d.plugin.controls.words import in_the_widgets_words
from napari_ulm3d.plugin.session import session_of

FIELDS = [
    (section, name)
    for section, settings in PipelineConfig()
    if isinstance(settings, StageConfig)
    for name in type(settings).model_fields
]


def type_into(box: Any, text: str) -> None:
    """Type over what is there, without Enter."""
    edit = box.lineEdit()
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, text)


# --- numbers as people write them ----------------------------------------------------------------


@given(st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.6g}")))
def test_point_and_comma_are_the_same(value: float) -> None:
    text = f"{value:.6f}"
    assert parse_number(text) == float(text)
    assert parse_number(text.replace(".", ",")) == float(text)


@given(st.integers(-(10**12), 10**12), st.sampled_from([",", " ", "\u202f", "\u00a0", "'"]))
def test_thousands_may_be_grouped(value: int, blank: str) -> None:
    assert parse_number(f"{value:,}".replace(",", blank), whole=True) == value


@given(st.text(max_size=12))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    value = parse_number(text)
    assert value is None or math.isfinite(value) or "e" in text.lower()


@pytest.mark.parametrize("text", ["", "-", "1,2,3", "1..2", "fast", "1e", "0x10", "nan", "inf"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize("text", ["1.5", "1,5", "12.0001"])
def test_a_whole_number_has_no_fraction(text: str) -> None:
    assert parse_number(text, whole=True) is None


@given(
    st.lists(st.floats(0, 1e4).map(lambda value: float(f"{value:.5g}")), min_size=3, max_size=3),
    st.sampled_from([" ", "; ", ", ", ";"]),
)
def test_three_numbers_may_be_written_in_one(numbers: list[float], between: str) -> None:
    text = between.join(f"{number:.5f}" for number in numbers)
    assert [parse_number(part) for part in split_numbers(text)] == pytest.approx(numbers, abs=1e-5)


# --- the mapping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_setting_has_a_widget_that_shows_and_gives_back_its_value(
    qapp: Any, section: str, name: str
) -> None:
    settings = getattr(PipelineConfig(), section)
    control = control_for(type(settings).model_fields[name])
    heard: list[Any] = []
    control.edited.connect(heard.append)
    control.show_value(getattr(settings, name))
    assert control.widget.value == getattr(settings, name)
    assert heard == []


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_arrows_stay_within_what_the_config_allows(qapp: Any, section: str, name: str) -> None:
    settings = getattr(PipelineConfig(), section)
    control = control_for(type(settings).model_fields[name])
    control.show_value(getattr(settings, name))
    for steps in (-1, 1):
        for _ in range(60):
            for box in control.boxes:
                if isinstance(box, NumberBox):
                    box.stepBy(steps)
    value = control.widget.value
    if name in ("svd_range", "bandpass_hz", "window_frames", "margin_frames"):
        return  # at odds with each other, not out of range
    assert getattr(settings.replace(**{name: value}), name) == value


# --- by hand ---------------------------------------------------------------------------------------


@pytest.fixture
def box(qtbot: Any) -> Any:
    made = NumberBox(bounds=Bounds(0, 10), unit="dB")
    qtbot.addWidget(made)
    made.setValue(2.5)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_half_typed_numbers_survive_and_escape_takes_them_back(box: Any) -> None:
    told: list[Any] = []
    box.valueChanged.connect(told.append)
    type_into(box, "3,")
    box.setValue(7.0)  # from elsewhere, while one types
    assert box.text() == "3,"
    QTest.keyClicks(box.lineEdit(), "25")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert told == [3.25]
    assert box.text() == "3.25 dB"
    type_into(box, "abc")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert box.text() == "abc"
    assert told == [3.25]
    QTest.keyClick(box, Qt.Key.Key_Escape)
    assert box.text() == "3.25 dB"
    assert told == [3.25]


def test_out_of_range_is_said_in_words(box: Any) -> None:
    said: list[str] = []
    box.refused.connect(said.append)
    type_into(box, "12 dB")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert said == ["must be at most 10"]
    assert box.text() == "12 dB"
    assert box.value() == 2.5
    type_into(box, "1.5")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert said[-1] == ""
    assert box.value() == 1.5


def test_keys_step_by_a_tenth_of_the_leading_digit(box: Any) -> None:
    for value, up, down in (
        (2.5, 2.6, 2.4),
        (0.3, 0.31, 0.29),
        (1.0, 1.1, 0.99),
        (10.0, 10.0, 9.9),
    ):
        box.setValue(value)
        QTest.keyClick(box, Qt.Key.Key_Up)
        assert box.value() == pytest.approx(up)
        box.setValue(value)
        QTest.keyClick(box, Qt.Key.Key_Down)
        assert box.value() == pytest.approx(down)


def form_of(viewer: Any, qtbot: Any, section: str) -> Any:
    form = SettingsForm(session_of(viewer), section)
    qtbot.addWidget(form)
    form.show()
    qtbot.waitExposed(form)
    return form


def test_an_error_stands_at_its_field_in_the_forms_words(viewer: Any, qtbot: Any) -> None:
    form = form_of(viewer, qtbot, "load")
    rate: Control = form.controls["rate_hz"]
    enter(rate, "fast")
    assert rate.fault == "Frame rate 'fast' is not a number."
    assert rate.box.text() == "fast"
    enter(rate, "-5")
    assert rate.fault == "Frame rate must be greater than 0."
    enter(form.controls["axes"], "tqyx")
    assert form.controls["axes"].fault.startswith("Axes 'tqyx' must be distinct letters")
    enter(rate, "260,5")
    assert rate.fault == ""
    assert session_of(viewer).config.load.rate_hz == 260.5
    enter(rate, "")
    assert session_of(viewer).config.load.rate_hz is None


def test_three_boxes_take_one_number_each_or_all_at_once(viewer: Any, qtbot: Any) -> None:
    form, session = form_of(viewer, qtbot, "load"), session_of(viewer)
    voxel: Control = form.controls["voxel_um"]
    enter(voxel, "98,56 150 150,5")
    assert session.config.load.voxel_um == (98.56, 150.0, 150.5)
    assert [box.text() for box in voxel.boxes] == ["98.56", "150", "150.5"]
    enter(voxel, "-3", part=1)
    assert voxel.fault == "Voxel size y must be greater than 0."
    assert session.config.load.voxel_um == (98.56, 150.0, 150.5)
    enter(voxel, "99", part=1)
    assert voxel.fault == ""
    assert session.config.load.voxel_um == (98.56, 99.0, 150.5)
    for part in range(3):
        enter(voxel, "", part)
    assert session.config.load.voxel_um is None
    enter(voxel, "-3", 1)
    assert voxel.fault == "Voxel size y must be greater than 0."
    enter(voxel, "", 1)
    with qtbot.waitActive(form):  # where the focus is counts from here on
        form.activateWindow()
    # One number stands for all, but not while one is on the way to the next box.
    enter(voxel, "100")
    assert session.config.load.voxel_um == (100.0, 100.0, 100.0)
    for part in range(3):
        enter(voxel, "", part)
    type_into(voxel.boxes[0], "100")
    QTest.keyClick(voxel.boxes[0], Qt.Key.Key_Tab)
    assert session.config.load.voxel_um is None
    type_into(voxel.boxes[1], "150")
    form.controls["rate_hz"].box.setFocus()
    assert voxel.fault == "Voxel size x is missing."
    enter(voxel, "150,5", 2)
    assert voxel.fault == ""
    assert session.config.load.voxel_um == (100.0, 150.0, 150.5)
    # In 2-D there are two boxes, and two numbers may be typed in one.
    voxel.widget.native.leave_out(1)
    assert not voxel.boxes[1].isVisible()
    enter(voxel, "120")
    assert session.config.load.voxel_um == (120.0, 150.5, 150.5)
    enter(voxel, "98,56 110")
    assert session.config.load.voxel_um == (98.56, 110.0, 110.0)
    origin = form.controls["origin_um"]
    origin.widget.native.leave_out(1)
    enter(origin, "5")
    enter(origin, "-7,5", 2)
    assert session.config.load.origin_um == (5.0, 0.0, -7.5)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Give --voxel-um Z Y X --rate HZ.", 'Give "Voxel size" and "Frame rate".'),
        ("a: 2 arrays. Name one with --variable.", 'a: 2 arrays. Name one with "Variable".'),
        ("Set load.axes=tzyx, or --memory 2GB.", 'Set "Axes" = tzyx, or "Memory" 2GB.'),
        ("/data/maps.fsc/load.axes--out: is bad.", "/data/maps.fsc/load.axes--out: is bad."),
    ],
)
def test_messages_name_the_widgets_and_no_options(said: str, shown: str) -> None:
    assert in_the_widgets_words(said) == shown


def test_what_was_refused_counts_once_it_fits(viewer: Any, qtbot: Any) -> None:
    form, session = form_of(viewer, qtbot, "network"), session_of(viewer)
    session.change("localize", localizer="network")
    window, margin = form.controls["window_frames"], form.controls["margin_frames"]
    enter(margin, "4")
    enter(window, "6")
    assert window.fault == "Window 6 must exceed twice Margin 4."
    session.change("network", merge_fwhm=0.5)  # another setting does not wipe it out
    assert window.box.text() == "6"
    assert window.fault
    enter(margin, "2")
    assert window.fault == ""
    assert session.config.network.window_frames == 6
    assert session.config.network.margin_frames == 2


def test_a_slider_and_its_box_are_one_setting(viewer: Any, qtbot: Any) -> None:
    form, session = form_of(viewer, qtbot, "sparsify"), session_of(viewer)
    native = form.controls["threshold"].widget.native
    native.slider.setFocus()
    QTest.keyClick(native.slider, Qt.Key.Key_Right)
    assert session.config.sparsify.threshold == pytest.approx(0.11)
    assert native.box.text() == "0.11"
    enter(form.controls["threshold"], "0,375")
    assert session.config.sparsify.threshold == 0.375
    assert native.slider.value() == pytest.approx(0.375)
    session.change("sparsify", threshold=0.9)
    assert native.slider.value() == pytest.approx(0.9)
    QTest.keyClick(native.slider, Qt.Key.Key_End)
    assert session.config.sparsify.threshold == 1.0


def test_a_limit_of_sanity_is_no_slider(viewer: Any, qtbot: Any) -> None:
    form = form_of(viewer, qtbot, "link")  # max_speed_mm_s: up to 10,000
    assert not hasattr(form.controls["max_speed_mm_s"].widget.native, "slider")
    enter(form.controls["max_speed_mm_s"], "40")
    assert session_of(viewer).config.link.max_speed_mm_s == 40.0


def test_a_score_can_be_left_to_the_network_again(viewer: Any, qtbot: Any) -> None:
    form, session = form_of(viewer, qtbot, "network"), session_of(viewer)
    session.change("localize", localizer="network")
    score = form.controls["min_score"]
    native = score.widget.native
    native.slider.setFocus()
    QTest.keyClick(native.slider, Qt.Key.Key_PageUp)
    assert session.config.network.min_score == pytest.approx(0.1)
    enter(score, "")
    assert session.config.network.min_score is None
    assert native.slider.value() == 0.0


def test_settings_show_while_they_are_used(viewer: Any, qtbot: Any) -> None:
    form = form_of(viewer, qtbot, "psf")
    for source, shown in (
        ("analytic", {"carrier"}),
        ("data", {"min_bubbles"}),
        ("auto", {"carrier", "min_bubbles"}),
    ):
        choose(form.controls["source"], source)
        for name in ("carrier", "min_bubbles"):
            assert form.controls[name].isVisible() == (name in shown)
            assert "source = auto" in form.controls[name].toolTip()


def _contrast(ink: str, ground: str) -> float:
    """Of two colours, WCAG 2.1."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(ink), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def test_coloured_text_can_be_read_on_both_themes(qtbot: Any) -> None:
    for dark, light in TONES.values():
        assert _contrast(dark, "#262930") > 4.5
        assert _contrast(light, "#efebe9") > 4.5
    holder, label = QWidget(), QLabel("text")
    qtbot.addWidget(holder)
    label.setParent(holder)
    for ink, shade in (("#f0f1f2", 0), ("#3b3a39", 1)):
        holder.setStyleSheet(f"QWidget {{ color: {ink}; }}")
        holder.ensurePolished()
        tint(label, "caution")
        label.ensurePolished()
        assert TONES["caution"][shade] in label.styleSheet()


@pytest.mark.parametrize("text", ["100 um", "100 µm", "100"])
def test_a_unit_that_stands_in_the_label_may_be_typed(qtbot: Any, text: str) -> None:
    control = control_for(LoadConfig.model_fields["voxel_um"])
    qtbot.addWidget(control)
    told: list[Any] = []
    control.edited.connect(told.append)
    enter(control, text)
    assert told == [(100.0, 100.0, 100.0)]
    rate = control_for(LoadConfig.model_fields["rate_hz"])
    qtbot.addWidget(rate)
    rate.edited.connect(told.append)
    enter(rate, "0,4 kHz")
    assert "is not a number" in rate.fault  # another unit is not taken for this one
    enter(rate, "400 Hz")
    assert told[1:] == [400.0]
