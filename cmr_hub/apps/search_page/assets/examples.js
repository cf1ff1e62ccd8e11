// Example sentences to search with.
const { sentences } = props.value;
if (sentences.length)
  element.append(
    make(
      "ul",
      { class: "chips", "aria-label": "Sentences to try" },
      sentences.map((text) =>
        make("li", {}, make("button", { type: "button", dir: "auto", onclick: () => trigger("select", { text }) }, text))
      )
    )
  );
