"""Training curves page: curves of stored runs, models, running trainings and logs."""

from __future__ import annotations

from typing import Final

import streamlit as st

from cmr_hub.apps.dashboard.sources import RunStore, Sources, run_store, sources
from cmr_hub.apps.dashboard.text import literal, nothing, problems
from cmr_hub.apps.dashboard.widgets import choice, colour_keys, figure_box
from cmr_hub.errors import CMRError
from cmr_hub.experiments.acmr_log import parse_acmr_log
from cmr_hub.experiments.curves import Curve, model_curves, running_curves, stored_curves
from cmr_hub.plots.style import COLOURS
from cmr_hub.plots.training import quantities, title, training

_MOST: Final = len(COLOURS)
_LIVE_SECONDS: Final = 2
_SEEDS: Final = {"first": "first seed", "all": "all seeds"}


def page() -> None:
    """Show the selected runs and their curves; the curves refresh while a training runs."""
    st.title("Training curves")
    home = sources()
    store = run_store(home)
    problems(store.index.problems, "runs.jsonl")
    names = _options(home, store)
    live = home.trainings()
    if live:
        st.info(
            "Training now: " + ", ".join(literal(name) for name in live) + ". Select it below to "
            "follow it.",
            icon=":material/model_training:",
        )
    default = [f"live:{name}" for name in live] or list(names)[:1]
    columns = st.columns([4, 1])
    keys = columns[0].multiselect(
        "Runs",
        list(names),
        default=default[:_MOST],
        format_func=names.__getitem__,
        key="run",
        bind="query-params",
        max_selections=_MOST,
        placeholder="select up to eight",
    )
    seeds = choice(columns[1], "Seeds", _SEEDS, "seeds")
    columns = st.columns([3, 1, 1])
    smoothing = columns[0].slider(
        "Smoothing", 0.0, 0.95, 0.0, 0.05, key="smoothing", bind="query-params"
    )
    log = columns[1].toggle("Log axis", key="log", bind="query-params")
    final = columns[2].toggle(
        "Show final phase",
        key="final",
        bind="query-params",
        help="Dashed: a run may train again on all pairs after it has chosen the number of epochs.",
    )
    logged = _log()
    every = _LIVE_SECONDS if any(key.startswith("live:") for key in keys) else None
    st.fragment(_draw, run_every=every)(
        home, store, names, keys, logged, smoothing, seeds == "all", log=log, final=final
    )


def _options(home: Sources, store: RunStore) -> dict[str, str]:
    names = {f"live:{name}": f"training now: {name}" for name in home.trainings()}
    names |= {f"model:{name}": f"model {name}" for name in home.model_directories()}
    return names | {group.key: store.names[group.key] for group in store.groups if group.terms}


def _log() -> Curve | None:
    with st.expander("Overlay a log of the ACMR code or the 2019 project"):
        file = st.file_uploader("A log file", type=["txt", "log", "out"], key="log-file")
        pasted = st.text_area(
            "or its text",
            key="log-text",
            height=120,
            placeholder="Epoch: [ 1][ 5/33] time: 1.25, emb_loss: 3067.69, domain_loss: 1.84, "
            "Label_loss: 4.94, triplet_loss: 2573.6, 322.9, 323.0, 322.9, 332.75",
        )
        text = file.getvalue().decode("utf-8", "replace") if file is not None else pasted
        if not text.strip():
            return None
        curve, wrong = parse_acmr_log(text)
        if curve is not None:
            st.caption(
                f"{len(curve.epochs):,} points are shown as “log”. Its losses may be scaled "
                "differently."
            )
        if wrong:
            st.warning("\n\n".join(map(literal, wrong)))
        return curve


def _draw(
    home: Sources,
    store: RunStore,
    names: dict[str, str],
    keys: list[str],
    logged: Curve | None,
    smoothing: float,
    all_seeds: bool,
    *,
    log: bool,
    final: bool,
) -> None:
    runs: dict[str, list[Curve]] = {}
    for key in keys:
        try:
            runs |= _curves(home, store, key, names[key], all_seeds=all_seeds)
        except CMRError as error:
            st.warning(literal(error))
    shown = {
        name: [c for c in curves if final or c.phase != "final" or len(curves) == 1]
        for name, curves in list(runs.items())[:_MOST]
    }
    if logged is not None:
        shown["log"] = [logged]
    if not any(shown.values()):
        nothing(
            "Nothing to draw: select a run that was trained in epochs, or train one.",
            "cmr train pascal-sentence --image-weights mobilenet_v2.safetensors --out runs/pascal",
        )
        return
    if len(runs) > _MOST:
        st.caption(f"The first {_MOST} of {len(runs)} curves.")
    colour_keys(list(shown), [COLOURS[index % _MOST] for index in range(len(shown))])
    found = quantities(shown)
    for start in range(0, len(found), 2):
        for column, quantity in zip(st.columns(2), found[start : start + 2], strict=False):
            with column:
                st.markdown(f"**{literal(title(quantity))}**")
                figure = training(shown, quantity, smoothing=smoothing, log=log)
                figure_box(
                    figure, f"training {quantity}", key=f"curve-{quantity.replace('/', '-')}"
                )


def _curves(
    home: Sources, store: RunStore, key: str, name: str, *, all_seeds: bool
) -> dict[str, list[Curve]]:
    kind, _, model = key.partition(":")
    if kind == "live":
        checkpoints = home.trainings().get(model)
        return {name: running_curves(checkpoints)} if checkpoints is not None else {}
    if kind == "model":
        directory = home.model_directories().get(model)
        return {name: model_curves(directory)} if directory is not None else {}
    group = store.by_key.get(key)
    if group is None:
        return {}
    records = group.load() if all_seeds else [group.load_first()]
    return {
        f"{name} · seed {record.seed}": stored_curves(home.results, record) for record in records
    }


page()
