// Shows a card for the point that Plotly reports under the pointer. The data of a point is requested
// once and cached. Text is never inserted as HTML.
const known = new Map();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const card = parentElement.querySelector(".card");
  if (card.dataset.map !== data.map) known.clear();
  card.dataset.map = data.map;
  for (const point of data.points) known.set(point.place, point);
  const state = (card.state ??= { place: null, figure: null, waiting: null });

  const draw = () => {
    const point = known.get(state.place);
    card.classList.toggle("empty", !point);
    if (!point) return;
    const picture = card.querySelector("img");
    picture.hidden = !point.picture;
    if (point.picture && picture.src !== point.picture) picture.src = point.picture;
    card.querySelector(".head").textContent = point.head;
    card.querySelector(".id").textContent = point.id;
    card.querySelector(".sentences").replaceChildren(
      ...point.sentences.map((sentence) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        return line;
      })
    );
  };

  const hover = (event) => {
    const place = event.points[0]?.customdata;
    if (typeof place !== "number" || place === state.place) return;
    state.place = place;
    clearTimeout(state.waiting);
    if (known.has(place)) draw();
    else state.waiting = setTimeout(() => setTriggerValue("asked", place), 60);
  };

  // Streamlit may replace the figure, so its element is looked up repeatedly.
  const attach = () => {
    const figure = document.querySelector(`.st-key-${CSS.escape(data.figure)} .js-plotly-plot`);
    if (!figure || figure === state.figure || !figure.on) return;
    state.figure?.removeListener?.("plotly_hover", state.hover);
    state.figure = figure;
    figure.on("plotly_hover", hover);
    state.hover = hover;
  };
  if (state.figure && state.hover) {
    state.figure.removeListener?.("plotly_hover", state.hover);
    state.figure = null;
  }
  attach();
  const timer = setInterval(attach, 300);
  draw();
  return () => clearInterval(timer);
}
