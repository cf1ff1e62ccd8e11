// Example sentences and pictures to search with.
const value = props.value;
element.append(
  value.sentences.length
    ? make(
        "ul",
        { class: "chips", "aria-label": "Sentences to try" },
        value.sentences.map((text) =>
          make("li", {}, make("button", { type: "button", dir: "auto", onclick: () => trigger("select", { text }) }, text))
        )
      )
    : "",
  value.pictures.length
    ? make(
        "ul",
        { class: "thumbs", "aria-label": "Pictures to try" },
        value.pictures.map((hit) =>
          make(
            "li",
            {},
            make(
              "button",
              { type: "button", class: "open", "aria-label": `Search with the picture: ${hit.caption}`, onclick: () => trigger("select", { id: hit.id }) },
              image(small(hit.picture), hit.caption)
            )
          )
        )
      )
    : ""
);
