// This script runs before the page is drawn, so that the page does not flash in other colours.
const dark = matchMedia("(prefers-color-scheme: dark)");
const choose = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", choose);
choose();
