"""Long-range modules of the authors' repositories, and of timm."""

from typing import Any

from specvid.models.blocks.official.conversion import (
    Conversion,
    State,
    Translation,
    implied_by_shapes,
    option,
    reads,
    rename,
)

_BARE: dict[str, Any] = {"identity": False, "residual": False}


@reads("bot_mhsa")
def read_bot(state: State) -> Conversion:
    """Read the Attention of bottleneck-transformer-pytorch: its positions are relative or absolute.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``bot``.
    """
    relative = "pos_emb.rel_height" in state
    theirs = {axis: f"pos_emb.{'rel_' if relative else ''}{axis}" for axis in ("height", "width")}
    inner, depth = state["to_qkv.weight"].shape[0] // 3, state[theirs["height"]].shape[1]
    rows = {axis: state[key].shape[0] for axis, key in theirs.items()}
    lengths = {axis: (n + 1) // 2 if relative else n for axis, n in rows.items()}
    positions = {"position": "relative" if relative else "absolute", "frames": 1}
    return Conversion(
        "bot",
        {"inner": inner, "heads": inner // depth, "project": False} | positions | lengths | _BARE,
        {"to_qkv.weight": "qkv.weight"} | {key: f"tables.{axis}" for axis, key in theirs.items()},
        zeros=("tables.frames",),
        channels=state["to_qkv.weight"].shape[1],
        constructor=dict.fromkeys(("dim", "fmap_size", "heads", "dim_head", "rel_pos_emb"), implied_by_shapes),
    )


@reads("halo")
def read_halo(state: State) -> Conversion:
    """Read timm's HaloAttn, whose weights tell the window, but not how large block and halo are in it.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``halo``.
    """
    tables = {f"pos_embed.{axis}_rel": f"tables.{axis}" for axis in ("height", "width")}
    inner, depth = state["q.weight"].shape[0], state["pos_embed.height_rel"].shape[1]
    window = (state["pos_embed.height_rel"].shape[0] + 1) // 2
    return Conversion(
        "halo",
        {"inner": inner, "heads": inner // depth, "project": False, "padding": "zeros"} | _BARE,
        {"q.weight": "q.weight", "kv.weight": "kv.weight"} | tables,
        zeros=("tables.frames",),
        undetermined={
            "block": f"their block_size: window {window} = block + 2 halo",
            "halo": f"their halo_size: window {window} = block + 2 halo",
        },
        channels=state["q.weight"].shape[1],
        constructor={"block_size": option("block"), "halo_size": option("halo")}
        | dict.fromkeys(("dim", "num_heads"), implied_by_shapes),
    )


@reads("gnconv")
def read_gnconv(state: State) -> Conversion:
    """Read HorNet's gnconv, whose weights do not determine the scale.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``gnconv``.
    """
    raises = {f"pws.{k}": f"raises.{k}" for k in range(sum(k.startswith("pws.") for k in state) // 2)}
    names = {"proj_in": "proj", "dwconv": "depthwise", "proj_out": "out"}
    return Conversion(
        "gnconv",
        {"order": len(raises) + 1, "kernel": state["dwconv.weight"].shape[-1], "residual": False, "identity": False}
        | {"inner": state["proj_out.weight"].shape[1]},
        rename(state, names | raises),
        defaults={"scale": 1.0},
        channels=state["proj_in.weight"].shape[1],
        constructor={"s": option("scale")} | dict.fromkeys(("dim", "order"), implied_by_shapes),
    )


@reads("pdc")
def read_pdc(state: State) -> Conversion:
    """Read the BasicBlock of polynomials-for-augmenting-NNs, as its ``pdc_so_nosharing.yml`` has it, of stride 1.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``pdc``.
    """
    names = {"conv1": "v", "bn1": "v_norm", "normx": "norm", "lconv0": "join"}
    names |= {f"u_conv{k + 1}": f"u.{k}" for k in range(2)} | {f"ubn{k + 1}": f"u_norm.{k}" for k in range(2)}
    return Conversion(
        "pdc",
        {"inner": state["u_conv1.weight"].shape[0], "kernel": state["u_conv1.weight"].shape[-1]}
        | {"first_order": True, "identity": False},
        {"alpha": "alpha"} | rename(state, names),
        channels=state["u_conv1.weight"].shape[1],
        constructor=_PDC,
    )


def _exactly(argument: str, ours: Any) -> Translation:
    """A constructor argument of which one value is ours."""

    def check(value: Any) -> dict[str, Any]:
        if value != ours:
            raise ValueError(f"{argument}={value!r} is not possible here: 'pdc' has {argument}={ours!r}.")
        return {}

    return check


_PDC = {
    argument: _exactly(argument, ours)
    for argument, ours in {
        "stride": 1,
        "use_alpha": True,
        "n_lconvs": 1,
        "use_lactiv": True,
        "norm_local": 1,
        "norm_x": 0,
        "what_lactiv": 2,
        "use_uactiv": True,
        "use_only_first_conv": True,
        "norm_layer": "BatchNorm2d",
    }.items()
} | dict.fromkeys(("in_planes", "planes", "planes_ho", "kern_loc", "kern_loc_so"), implied_by_shapes)


def _hamburger(method: str, inv_t: float, state: State) -> Conversion:
    """A "ham" of Enjoy-Hamburger, without bread; INV_T has no effect on ``nmf``."""
    sets, channels, rank = state["bases"].shape
    constructor = {"EVAL_STEPS": option("eval_steps"), "TRAIN_STEPS": option("steps"), "BETA": option("beta")}
    constructor["INV_T"] = option("inv_t")
    return Conversion(
        "hamburger",
        {"method": method, "rank": rank, "sets": sets, "bread": False, "project": False} | _BARE,
        {"bases": "bases"},
        defaults={"inv_t": inv_t},
        channels=channels,
        constructor=constructor | dict.fromkeys(("SPATIAL", "MD_S", "MD_D", "MD_R", "RAND_INIT"), implied_by_shapes),
    )


@reads("ham_nmf")
def read_nmf(state: State) -> Conversion:
    """Read Enjoy-Hamburger's NMF2D.

    Args:
        state: ``bases`` (sets, D, R).

    Returns:
        How it becomes ``hamburger``.
    """
    return _hamburger("nmf", 1.0, state)


@reads("ham_vq")
def read_vq(state: State) -> Conversion:
    """Read Enjoy-Hamburger's VQ2D.

    Args:
        state: ``bases`` (sets, D, R).

    Returns:
        How it becomes ``hamburger``.
    """
    return _hamburger("vq", 100.0, state)


@reads("ham_cd")
def read_cd(state: State) -> Conversion:
    """Read Enjoy-Hamburger's CD2D.

    Args:
        state: ``bases`` (sets, D, R).

    Returns:
        How it becomes ``hamburger``.
    """
    return _hamburger("cd", 100.0, state)
