// Texts of galleries and visitors are inserted as text, never as markup.
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value; // a strict CSP forbids the attribute
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
};
// On the static site, pictures are files, or blob: URLs for the visitor's own pictures.
const address = (path) =>
  path.startsWith("blob:") ? path : `${(window.gradio_config?.root ?? ".").replace(/\/$/, "")}/${path}`;
const small = (path) => (path.includes("?") ? `${path}&small=1` : path);
const number = (value) => Number(value).toFixed(2).replace("-", "\u2212");
const image = (path, words, attributes = {}) => {
  if (!path) return make("span", { class: "absent" }, "No picture");
  const node = make("img", { src: address(path), alt: words, loading: "lazy", ...attributes });
  node.addEventListener("error", () =>
    node.replaceWith(make("span", { class: "absent" }, "The picture no longer exists"))
  );
  return node;
};
