// A box that can be scrolled sideways says at which sides there is more: data-beyond="left right" on the box around it.
const say = (box) => {
  const hidden = box.scrollWidth - box.clientWidth;
  const sides = [box.scrollLeft > 1 && "left", box.scrollLeft < hidden - 1 && "right"].filter(Boolean).join(" ");
  if (hidden > 1) box.parentElement.dataset.beyond = sides;
  else delete box.parentElement.dataset.beyond;
};
const watch = new ResizeObserver((entries) => { for (const entry of entries) say(entry.target.closest(".scroll")); });
for (const box of document.querySelectorAll(".scroll")) {
  watch.observe(box);
  watch.observe(box.firstElementChild);  // grows when a head gets its arrow
  box.addEventListener("scroll", () => say(box), { passive: true });
}
