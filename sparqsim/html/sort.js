"use strict";
// A click sorts a table by that column: up, down, then as it was. Numbers sort as numbers; the foot stays.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const keyOf = (row, at) => {
    const cell = row.cells[at];
    const text = cell.textContent;
    const number = Number(cell.dataset.v ?? text.replaceAll(",", ""));
    return text === "" || Number.isNaN(number) ? text : number;
  };
  const compare = (one, other) => typeof one === "number" && typeof other === "number"
    ? (one < other ? -1 : one > other ? 1 : 0)
    : String(one).localeCompare(String(other), "en", { numeric: true });
  heads.forEach((head, at) => {
    head.setAttribute("aria-sort", "none");
    head.querySelector("button").addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const now = was === "none" ? "ascending" : was === "ascending" ? "descending" : "none";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", now);
      const sign = now === "descending" ? -1 : 1;
      const rows = now === "none" ? original
        : original.map((row) => [keyOf(row, at), row]).sort((a, b) => sign * compare(a[0], b[0])).map((pair) => pair[1]);
      body.append(...rows);
    });
  });
}
