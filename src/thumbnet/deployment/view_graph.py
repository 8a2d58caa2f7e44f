"""The working view as an ONNX graph: what `data.working_view` does with Pillow, for a decoded picture of any size.

ONNX's antialiased `Resize` on 8-bit planes is Pillow's filter but for the rounding: docs/deploying.md says how near the
two are. What it leaves out: a strip more than 300 times as long as wide is not cut before the resize, and the rows are
always resized before the columns, where Pillow goes the other way for some shapes and rounds in between.
"""

from typing import Any

from thumbnet.data.working_view import Preprocessing
from thumbnet.errors import ExportError

OPSET = 18
IR_VERSION = 10
_ANTIALIASED = """
  resized = Resize <{filter}, antialias = 1, exclude_outside = 1, coordinate_transformation_mode = "half_pixel">
    (planes, , , sizes)"""
CUBIC = _ANTIALIASED.format(filter='mode = "cubic", cubic_coeff_a = -0.5')
# Where a step ends between two pixels decides which one is taken, so the steps are added up one by one, as Pillow does.
_NEAREST = """
  old_height, old_width = Split <axis = 0, num_outputs = 2> (sides)
  new_height, new_width = Split <axis = 0, num_outputs = 2> (size)"""
for _old, _new in (("planes", "rows"), ("rows", "resized")):
    _side, _axis = ("height", 2) if _old == "planes" else ("width", 3)
    _NEAREST += f"""
  exact_old_{_side} = Cast <to = 11> (old_{_side})
  exact_new_{_side} = Cast <to = 11> (new_{_side})
  step_{_side} = Div (exact_old_{_side}, exact_new_{_side})
  first_{_side} = Mul (step_{_side}, half)
  others_{_side} = Sub (new_{_side}, one)
  steps_{_side} = Expand (step_{_side}, others_{_side})
  added_{_side} = Concat <axis = 0> (first_{_side}, steps_{_side})
  places_{_side} = CumSum (added_{_side}, first_axis)
  taken_{_side} = Cast <to = 7> (places_{_side})
  {_new} = Gather <axis = {_axis}> ({_old}, taken_{_side})"""
_FILTERS = {
    "bicubic": CUBIC,
    "bilinear": _ANTIALIASED.format(filter='mode = "linear"'),
    "nearest": _NEAREST,
}
# To what each side is resized, of `sides` = [height, width].
_SIZES = {
    "center": """
  short = ReduceMin <keepdims = 1> (sides)
  scaled = Mul (sides, resize_side)
  size = Div (scaled, short)""",
    "squash": """
  ones = Div (sides, sides)
  size = Mul (ones, resize_side)""",
    "border": """
  exact = Cast <to = 11> (sides)
  long = ReduceMax <keepdims = 1> (exact)
  wanted = Cast <to = 11> (resize_side)
  scale = Div (long, wanted)
  scaled = Div (exact, scale)
  rounded = Round (scaled)
  whole = Cast <to = 7> (rounded)
  size = Max (whole, one)""",
}
_GRAPH = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
working_view (uint8[batch, height, width, 3] picture) => (uint8[batch, {side}, {side}, 3] view)
<
  int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] four = {{4}},
  int64[1] side = {{{side}}}, int64[1] resize_side = {{{resize_side}}}, int64[2] no_padding = {{0, 0}},
  int64[2] spatial = {{2, 3}}, double[1] half = {{0.5}},
  int64 first_axis = {{0}}, int32[1, 3, 1, 1] fill = {{{fill}}}
>
{{
  planes = Transpose <perm = [0, 3, 1, 2]> (picture)
  shape = Shape (planes)
  outer = Slice (shape, zero, two)
  sides = Slice (shape, two, four)
{size}
  sizes = Concat <axis = 0> (outer, size){resize}
  above_fill = Cast <to = 6> (resized)
  beside = Sub (above_fill, fill)
  short_of = Sub (side, size)
  missing = Max (short_of, zero)
  before = Div (missing, two)
  after = Sub (missing, before)
  pads = Concat <axis = 0> (no_padding, before, no_padding, after)
  padded = Pad (beside, pads)
  back = Add (padded, fill)
  filled = Cast <to = 2> (back)
  filled_size = Add (size, missing)
  surplus = Sub (filled_size, side)
  surplus_exact = Cast <to = 11> (surplus)
  middle = Mul (surplus_exact, half)
  middle_rounded = Round (middle)
  start = Cast <to = 7> (middle_rounded)
  end = Add (start, side)
  cropped = Slice (filled, start, end, spatial)
  view = Transpose <perm = [0, 2, 3, 1]> (cropped)
}}
"""


def working_view_graph(preprocessing: Preprocessing) -> Any:
    """The graph, from uint8 `[batch, height, width, 3]` to uint8 `[batch, image_side, image_side, 3]`.

    Raises:
        ExportError: If ONNX has no such filter.
    """
    import onnx

    if preprocessing.interpolation not in _FILTERS:
        problem = f"ONNX resizes by {', '.join(_FILTERS)}, not by {preprocessing.interpolation}"
        raise ExportError(f"{problem} as this bundle does; train with another interpolation")
    fill = [round(255 * value) for value in preprocessing.mean] if preprocessing.crop_mode == "border" else [0, 0, 0]
    text = _GRAPH.format(
        ir=IR_VERSION,
        opset=OPSET,
        side=preprocessing.image_side,
        resize_side=preprocessing.resize_side,
        fill=", ".join(str(level) for level in fill),
        size=_SIZES[preprocessing.crop_mode],
        resize=_FILTERS[preprocessing.interpolation],
    )
    return onnx.parser.parse_model(text)


def in_one(view: Any, downscaler: Any, student: Any) -> Any:
    """The three graphs as one: from uint8 pictures of any size to `thumbnail` and `probabilities`."""
    from onnx import compose

    parts = [compose.add_prefix(part, name) for part, name in ((view, "v_"), (downscaler, "e_"), (student, "s_"))]
    begun = compose.merge_models(parts[0], parts[1], [("v_view", "e_picture")])
    whole = compose.merge_models(
        begun,
        parts[2],
        [("e_thumbnail", "s_thumbnail")],
        outputs=["e_thumbnail", "s_probabilities"],
    )
    _rename(whole, {"v_picture": "picture", "e_thumbnail": "thumbnail", "s_probabilities": "probabilities"})
    return whole


_PLAIN = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
plain_thumbnail (uint8[batch, {side}, {side}, 3] view) => (uint8[batch, {thumbnail_side}, {thumbnail_side}, 3] plain)
< int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[2] size = {{{thumbnail_side}, {thumbnail_side}}} >
{{
  planes = Transpose <perm = [0, 3, 1, 2]> (view)
  shape = Shape (planes)
  outer = Slice (shape, zero, two)
  sizes = Concat <axis = 0> (outer, size){resize}
  plain = Transpose <perm = [0, 2, 3, 1]> (resized)
}}
"""


def learned_and_plain(view: Any, downscaler: Any, side: int, thumbnail_side: int) -> Any:
    """From uint8 pictures of any size to `thumbnail`, and to `plain`: the same view, resized by the bicubic filter."""
    from onnx import compose, parser

    text = _PLAIN.format(ir=IR_VERSION, opset=OPSET, side=side, thumbnail_side=thumbnail_side, resize=CUBIC)
    named = ((view, "v_"), (downscaler, "e_"), (parser.parse_model(text), "p_"))
    parts = [compose.add_prefix(part, name) for part, name in named]
    outputs = ["e_thumbnail", "v_view"]
    learned = compose.merge_models(parts[0], parts[1], [("v_view", "e_picture")], outputs=outputs)
    both = compose.merge_models(learned, parts[2], [("v_view", "p_view")], outputs=["e_thumbnail", "p_plain"])
    _rename(both, {"v_picture": "picture", "e_thumbnail": "thumbnail", "p_plain": "plain"})
    return both


def _rename(model: Any, names: dict[str, str]) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
