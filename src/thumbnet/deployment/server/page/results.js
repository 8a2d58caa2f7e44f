// Everything that is shown of a picture. Knows the page's elements, and nothing of where the numbers come from.

import { showFile } from "./pictures.js";
import { bytes, comparedWith, exactBytes, percent, pixels, time } from "./wording.js";

const at = (id) => document.getElementById(id);

/** Shows the part of the original that the networks see, so that the three pictures match. */
export function frameAs(seen) {
  const mode = { center: "cover", squash: "fill", border: "contain" }[seen?.mode] ?? "contain";
  at("original").style.objectFit = mode;
  at("original").style.transform = mode === "cover" ? `scale(${1 / seen.share})` : "";
  at("original-part").textContent = mode === "cover" ? "Shown: the part that the networks see" : "";
}

/** A new picture is being worked on: what is there is of the one before. */
export function begin() {
  at("results").setAttribute("aria-busy", "true");
}

export function hide() {
  at("results").hidden = true;
  at("results").removeAttribute("aria-busy");
}

/** The pictures, once the thumbnails are there. */
export function showPictures({ file, size, plain, learned, side, notes }) {
  showFile(file, at("original"));
  showFile(plain, at("plain"));
  showFile(learned, at("learned"));
  at("original").alt = `Your picture: ${file.name}`;
  at("plain").alt = `${file.name} downscaled by the bicubic filter`;
  at("learned").alt = `${file.name} downscaled by the learned downscaler`;
  const square = { width: side, height: side };
  at("original-facts").textContent = `${pixels(size)}, ${bytes(file.size)}`;
  at("plain-facts").textContent = `${pixels(square)}, ${bytes(plain.size)}`;
  at("learned-facts").textContent = `${pixels(square)}, ${bytes(learned.size)}`;
  at("notes").textContent = notes.join(" ");
  at("notes").hidden = notes.length === 0;
  forgetAnswers();
  at("results").hidden = false;
  at("results").removeAttribute("aria-busy");
}

/** How much went to the server: parts `[kind, bytes, what]`, where the kind is `thumbnail` or `picture`. */
export function showSent(parts, size) {
  const sent = parts.reduce((total, [, count]) => total + count, 0);
  const scale = Math.max(sent, size);
  const bars = parts.map(([kind, count]) => {
    const bar = Object.assign(cell("i", ""), { className: kind });
    bar.style.width = `${(100 * count) / scale}%`;
    return bar;
  });
  const what = parts.map(([, count, words]) => `${exactBytes(count)}: ${words}.`);
  at("sent").textContent = exactBytes(sent);
  at("sent-share").textContent = comparedWith(sent, size);
  at("sent-scale").replaceChildren(...bars);
  at("sent-what").textContent = [...what, "Headers of requests are not counted."].join(" ");
}

/** What `student` or `teacher` says. */
export function showAnswer(who, ranked) {
  at(`${who}-ranked`).replaceChildren(...ranked.map(bar));
  at(who === "student" ? "student-waits" : "teacher-offer").hidden = true;
}

/** What asking the teacher costs. */
export function offerTeacher(size) {
  at("teacher").hidden = false;
  at("teacher-cost").textContent = `Asking it sends the whole picture: ${bytes(size)}.`;
}

/** Rows `[step, where, milliseconds]` of `student` or `teacher`, and their sum. */
export function showSteps(who, steps) {
  const sum = steps.reduce((total, [, , milliseconds]) => total + milliseconds, 0);
  const rows = [...steps, ["Together", "", sum]].map(([step, where, milliseconds]) => {
    const row = document.createElement("tr");
    row.append(cell("th", step), cell("td", where), cell("td", time(milliseconds)));
    row.firstChild.scope = "row";
    return row;
  });
  at(`${who}-steps`).replaceChildren(...rows);
}

function forgetAnswers() {
  for (const name of ["student-ranked", "teacher-ranked", "teacher-steps"]) at(name).replaceChildren();
  at("student-waits").hidden = false;
  at("teacher-offer").hidden = false;
}

function bar({ label, score }) {
  const row = document.createElement("li");
  const track = cell("i", "");
  const fill = cell("i", "");
  fill.style.width = `${100 * score}%`;
  track.append(fill);
  row.append(cell("span", label), cell("b", percent(score)), track);
  return row;
}

function cell(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}
