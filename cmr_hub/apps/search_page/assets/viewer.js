const dialog = make("dialog", { class: "viewer", "aria-label": "Result", tabindex: -1 });
element.append(dialog);
let stage = null;

const section = (title, ...children) =>
  make("section", {}, make("h3", {}, title), ...children);

const bar = (share, sign) =>
  make("span", { class: "bar", "aria-hidden": "true" },
    make("span", { class: sign, style: `inline-size: ${Math.round(100 * share)}%` }));

const words = (found) => {
  const some = found.some((one) => one.strength > 0);
  return section(
    "Contribution of the words",
    make(
      "ul",
      { class: "words" },
      found.map((one) =>
        make(
          "li",
          { class: one.known ? null : "unknown" },
          make("span", { class: "word", dir: "auto" }, one.wanted ? one.word : `not ${one.word}`),
          one.known ? bar(one.strength, one.score < 0 ? "minus" : "plus") : "",
          make("span", { class: "value" }, one.known ? number(one.score) : "unknown")
        )
      )
    ),
    some
      ? null
      : make("p", { class: "none" }, "Nothing stands out: no word contributes much to this score."),
    make("p", { class: "small" }, "How much lower the score would be without the word.")
  );
};

const classes = (found) => {
  const line = (title, list) =>
    list?.length
      ? make(
          "p",
          {},
          `${title} `,
          list.map((one, place) => [
            place ? ", " : "",
            make(place ? "span" : "strong", {}, one.name),
            ` ${number(one.score)}`,
          ])
        )
      : null;
  if (!found.item?.length) return null;
  return section(
    "Predicted classes",
    line("Query:", found.query),
    line("This result:", found.item)
  );
};

const neighbours = (near) => [
  near.pictures?.length
    ? section(
        "Similar pictures",
        make(
          "ul",
          { class: "strip" },
          near.pictures.map((hit) =>
            make(
              "li",
              {},
              make(
                "button",
                {
                  type: "button",
                  class: "open",
                  "aria-label": `Open ${hit.caption}`,
                  onclick: () => trigger("select", { id: hit.id, target: "image" }),
                },
                image(hit.picture && small(hit.picture), hit.caption)
              )
            )
          )
        )
      )
    : null,
  near.texts?.length
    ? section(
        "Similar sentences",
        make(
          "ul",
          { class: "texts" },
          near.texts.map((hit) =>
            make(
              "li",
              {},
              make(
                "button",
                {
                  type: "button",
                  class: "link",
                  dir: "auto",
                  onclick: () => trigger("select", { id: hit.id, target: "text" }),
                },
                hit.caption
              )
            )
          )
        )
      )
    : null,
];

const close = () => dialog.close();

const copy = async (value, button) => {
  try {
    await navigator.clipboard.writeText(value.path);
    button.textContent = "Copied";
  } catch {
    // Browsers allow copying only on HTTPS and localhost. Otherwise, select the path.
    getSelection().selectAllChildren(dialog.querySelector(".path"));
    button.textContent = "Selected: copy it";
  }
};

const facts = (value) => {
  const rows = (value.facts ?? Object.entries(value.more ?? {})).map(([name, text, map]) => [
    make("dt", {}, name),
    make("dd", { dir: "auto" },
      map ? make("a", { href: map, target: "_blank", rel: "noopener noreferrer" }, text) : text),
  ]);
  if (value.path) rows.unshift([make("dt", {}, "Path"), make("dd", { class: "path" }, value.path)]);
  return rows.length ? section("Details", make("dl", {}, rows)) : null;
};
const step = (value, by) =>
  document.dispatchEvent(
    new CustomEvent("cmr-step", {
      detail: { id: value.id, target: value.target, step: by, panel: props.panel },
    })
  );

const render = () => {
  const value = props.value;
  if (!value?.id) return dialog.open && close();
  stage = make("div", { class: "stage" }, image(value.picture, value.sentences[0] ?? value.title));
  const where = [
    value.rank ? `Result ${value.rank}` : null,
    value.score === undefined ? null : `score ${number(value.score)}`,
    value.path ? null : value.id,
  ].filter(Boolean);
  const focused = dialog.contains(document.activeElement)
    ? document.activeElement.getAttribute("aria-label")
    : null;
  dialog.replaceChildren(
    make(
      "header",
      {},
      make("div", {},
        make("h2", {}, value.title),
        make("p", { class: "small" }, where.join(" · "))),
      make("div", { class: "buttons" },
        value.rank ? make("button", { type: "button", "aria-label": "Previous result", onclick: () => step(value, -1) }, "‹") : null,
        value.rank ? make("button", { type: "button", "aria-label": "Next result", onclick: () => step(value, 1) }, "›") : null,
        make("button", { type: "button", "aria-label": "Close", onclick: close }, "×"))
    ),
    make(
      "div",
      { class: "columns" },
      make(
        "div",
        {},
        stage,
        make(
          "div",
          { class: "actions" },
          value.heat
            ? make("button", { type: "button", class: "where", onclick: () => look(value) }, "Why this picture?")
            : null,
          make(
            "button",
            { type: "button", onclick: () => { close(); trigger("like", { id: value.id }); } },
            "More like this"
          ),
          value.picture
            ? make("a", { href: address(value.picture), target: "_blank", rel: "noopener" }, "Open picture")
            : null,
          value.path
            ? make("button", { type: "button", onclick: (event) => copy(value, event.currentTarget) }, "Copy path")
            : null
        ),
        make("p", { class: "small legend", hidden: true },
          "Orange: the score drops most if this region is covered."),
        value.words?.length ? words(value.words) : null
      ),
      make(
        "div",
        {},
        value.sentences.length
          ? section("Sentences", value.sentences.map((text) => make("p", { dir: "auto" }, text)))
          : null,
        classes(value.classes ?? {}),
        facts(value)
      )
    ),
    make("div", { class: "near" }, neighbours(value.near ?? {}))
  );
  if (!dialog.open) dialog.showModal();
  // The focused button was replaced, so focus the new one.
  const again = [...dialog.querySelectorAll("button")].find(
    (button) => focused && button.getAttribute("aria-label") === focused
  );
  (again ?? dialog).focus();
  dialog.scrollTop = 0;
};

const look = (value) => {
  const overlay = stage.querySelector(".heat");
  if (overlay) {
    overlay.remove();
    dialog.querySelector(".legend").hidden = true;
    return;
  }
  dialog.querySelector(".where").setAttribute("aria-busy", "true");
  trigger("input", { id: value.id });
};

const drawHeat = () => {
  const heat = props.heat;
  const button = dialog.querySelector(".where");
  button?.removeAttribute("aria-busy");
  if (!heat || !stage || heat.id !== props.value?.id) return;
  const legend = dialog.querySelector(".legend");
  legend.hidden = false;
  if (heat.problem || heat.nothing) {
    legend.textContent = heat.problem ?? heat.nothing;
    return;
  }
  stage.querySelector(".heat")?.remove();
  const overlay = make("img", { class: "heat", alt: "Where the score comes from", src: heat.picture });
  Object.assign(overlay.style, heat.box);
  stage.append(overlay);
};

dialog.addEventListener("click", (event) => event.target === dialog && close());
dialog.addEventListener("keydown", (event) => {
  if (!props.value?.rank) return;
  if (event.key === "ArrowLeft") step(props.value, -1);
  if (event.key === "ArrowRight") step(props.value, 1);
});
watch("value", render);
watch("heat", drawHeat);
