const open = (hit, target) => trigger("select", { id: hit.id, target });
const like = (hit) => trigger("like", { id: hit.id });

const clear = (hit) =>
  hit.z === null || hit.z === undefined
    ? null
    : make(
        "span",
        {
          class: "score clear",
          title: "Standard deviations above the scores of neutral sentences with this picture",
        },
        `stands out ${hit.z.toFixed(1)}`
      );

const tile = (hit) =>
  make(
    "li",
    { class: "tile" },
    make(
      "button",
      {
        type: "button",
        class: "open",
        "aria-label": `Open result ${hit.rank}: ${hit.caption}`,
        onclick: () => open(hit, "image"),
      },
      image(hit.picture && small(hit.picture), hit.caption)
    ),
    make(
      "p",
      { class: "facts" },
      hit.score === null ? null : make("span", { class: "rank" }, `${hit.rank}`),
      hit.class ? make("strong", { class: "class" }, hit.class) : null,
      hit.score === null ? null : make("span", { class: "score", title: "Cosine similarity" }, number(hit.score)),
      clear(hit),
      hit.duplicates
        ? make("span", { class: "small", title: "Copies of this picture in the gallery, or frames of its video" }, `and ${hit.duplicates} more`)
        : null
    ),
    make("p", { class: "caption", dir: "auto" }, hit.caption),
    props.compact
      ? null
      : make(
          "button",
          {
            type: "button",
            class: "like",
            "aria-label": `More like result ${hit.rank}`,
            onclick: () => like(hit),
          },
          "More like this"
        )
  );

const row = (hit) =>
  make(
    "tr",
    {},
    make("td", { class: "rank" }, `${hit.rank}`),
    make(
      "td",
      { class: "id" },
      make("button", { type: "button", class: "link", onclick: () => open(hit, "text") }, hit.id),
      make(
        "button",
        {
          type: "button",
          class: "like",
          "aria-label": `More like sentence ${hit.rank}`,
          onclick: () => like(hit),
        },
        "More like this"
      )
    ),
    make("td", { class: "class" }, hit.class ?? ""),
    make(
      "td",
      { class: "sentences" },
      hit.sentences.map((text) => make("p", { dir: "auto" }, text))
    )
  );

const list = (title, hits, content) =>
  make("section", { "aria-label": title }, make("h2", {}, title), content(hits));

const pictures = (hits) => make("ul", { class: "grid" }, hits.map(tile));
const sentences = (hits) =>
  make(
    "table",
    {},
    make(
      "thead",
      {},
      make("tr", {}, ["rank", "id", "class", "sentences"].map((name) => make("th", { scope: "col" }, name)))
    ),
    make("tbody", {}, hits.map(row))
  );

const status = make("p", { class: "status", role: "status" });
const chip = make("div", { class: "chip", hidden: true });
const body = make("div", { class: "lists" });
const more = make(
  "button",
  {
    type: "button",
    class: "more",
    hidden: true,
    onclick: () => {
      more.disabled = true;
      trigger("expand");
    },
  },
  "More results"
);
element.append(status, chip, body, more);

// Keep the query in the URL, so that reload, back and sharing work.
const remember = (value) => {
  if (!props.has_address || typeof value.query !== "string") return;
  const [now, then] = [location.search, value.query].map((query) => `${new URLSearchParams(query)}`);
  if (now === then) return;
  const change = value.is_restored ? "replaceState" : "pushState";
  history[change](null, "", value.query || location.pathname);
};
// Gradio has no date field for keyboards, so use that of the browser. A selected date is submitted
// by Enter, because Gradio's change event is also triggered when the URL is restored.
if (props.has_address)
  document.addEventListener("focusin", ({ target }) => {
    if (!target.closest(".day") || target.type !== "text") return;
    target.type = "date";
    target.addEventListener("change", () =>
      target.dispatchEvent(new KeyboardEvent("keypress", { key: "Enter", bubbles: true }))
    );
  });
if (props.has_address)
  window.addEventListener("popstate", () => trigger("undo", { query: location.search }));

// Browsers may report no type for HEIC files, and Gradio accepts only files with an image type.
const known = (files) => {
  const all = new DataTransfer();
  for (const file of files)
    all.items.add(
      !file.type && /\.(heic|heif|hif|avif|jfif|dng)$/i.test(file.name)
        ? new File([file], file.name, { type: "image/heic" })
        : file
    );
  return all.files;
};
if (props.has_address) {
  document.addEventListener("change", ({ target }) => {
    if (target.type === "file" && [...target.files].some((file) => !file.type)) target.files = known(target.files);
  }, true);
  document.addEventListener("drop", (event) => {
    const files = event.dataTransfer?.files ?? [];
    const input = event.target.closest(".drop")?.querySelector("input[type=file]");
    if (!input || ![...files].some((file) => !file.type)) return;
    event.preventDefault();
    event.stopPropagation();
    input.files = known(files);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
}

let drawn = [];
let hasSearched = false;
const render = () => {
  const value = props.value ?? {};
  // Ignore the first listing if the visitor has already searched.
  if (value.is_first && hasSearched) return;
  hasSearched ||= !value.is_first && value.number !== undefined;
  status.textContent = value.status ?? "";
  status.dataset.tone = value.tone ?? "hint";
  chip.hidden = !value.like;
  chip.replaceChildren(
    ...(value.like
      ? [
          image(value.like.picture && small(value.like.picture), ""),
          make("span", {}, `More like ${value.like.title}`),
          make("button", { type: "button", class: "link", onclick: () => trigger("clear") }, "Back"),
        ]
      : [])
  );
  const lists = [
    ["Pictures", value.pictures ?? [], pictures, ".grid", tile],
    ["Sentences", value.texts ?? [], sentences, "tbody", row],
  ].filter(([, hits]) => hits.length);
  const ids = lists.map(([title, hits]) => [title, ...hits.map((hit) => `${hit.id} ${hit.score}`)]);
  // Append further results of the same search, so that nothing moves.
  const isContinued =
    drawn.length === ids.length && ids.every((list, place) => drawn[place].every((id, at) => id === list[at]));
  if (isContinued && ids.length)
    for (const [place, [, hits, , holder, one]] of lists.entries())
      body.children[place].querySelector(holder).append(...hits.slice(drawn[place].length - 1).map(one));
  else body.replaceChildren(...lists.map(([title, hits, content]) => list(title, hits, content)));
  drawn = ids;
  more.hidden = !value.more || props.compact;
  more.disabled = false;
  remember(value);
};
watch("value", render);
render();
// The viewer requests the previous or next result.
document.addEventListener("cmr-step", ({ detail }) => {
  const value = props.value ?? {};
  const hits = detail.target === "image" ? value.pictures : value.texts;
  const place = (hits ?? []).findIndex((hit) => hit.id === detail.id);
  const next = place < 0 || detail.panel !== props.panel ? null : hits[place + detail.step];
  if (next) open(next, detail.target);
});
