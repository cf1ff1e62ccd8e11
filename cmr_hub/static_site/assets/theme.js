// Runs before the page is drawn, so that it never flashes in the other colours.
const dark = matchMedia("(prefers-color-scheme: dark)");
const choose = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", choose);
choose();
