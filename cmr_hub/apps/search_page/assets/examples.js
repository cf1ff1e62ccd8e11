// Example sentences to search with.
element.append(
  make(
    "ul",
    { class: "chips", "aria-label": "Sentences to try" },
    props.value.sentences.map((text) =>
      make("li", {}, make("button", { type: "button", dir: "auto", onclick: () => trigger("select", { text }) }, text))
    )
  )
);
