// The page: what happens when, and what is said about it.

import { measure } from "./pictures.js";
import * as results from "./results.js";
import { Problem, about, carry, sample, send } from "./server.js";
import { Here, There } from "./thumbnails.js";
import { percent } from "./wording.js";

const MEGA = 1e6;
const MOST_PIXELS = 50 * MEGA; // what a browser decodes without running out of memory
const at = (id) => document.getElementById(id);

let server; // what /about says
let maker; // of thumbnails
let current = null; // the picture that is shown or worked on
let retry = null;

const say = (text) => (at("status").textContent = text);

function complain(error, again) {
  const problem = error instanceof Problem ? error : new Problem(`Something failed in this page: ${error.message}`);
  say("");
  at("problem-text").textContent = problem.message;
  retry = problem.again || problem.token ? again : null;
  at("again").hidden = !problem.again;
  at("problem").hidden = false;
  at("token").setAttribute("aria-invalid", String(problem.token));
  if (problem.token) at("token").focus();
}

function calm() {
  at("problem").hidden = true;
  at("token").removeAttribute("aria-invalid");
  retry = null;
}

/** One picture's way: what was sent of it, at earlier attempts too, and the time of each step. */
class Journey {
  #stop = new AbortController();
  steps = { student: [], teacher: [] };
  shown = false;
  over = false;

  constructor(file, sent) {
    this.file = file;
    this.sent = sent; // [kind, bytes, what]
    const took = async (step, where, act) => {
      const started = performance.now();
      const made = await act();
      took.add(step, where, performance.now() - started);
      return made;
    };
    took.add = (...step) => this.steps.student.push(step);
    this.means = { say: (text) => this === current && say(text), took, sent: (...part) => sent.push(part), signal: this.#stop.signal };
  }

  stop() {
    this.#stop.abort();
  }

  /** What `student` or `teacher` says to a file; the server's time is told from that of the way there and back. */
  async ask(who, path, file, kind, what) {
    const started = performance.now();
    const reached = () => this.means.sent(kind, file.size, `${what}, for the ${who}`);
    const answer = await (await send(path, file, this.means.signal, reached)).json();
    const { decode, networks } = answer.milliseconds;
    const way = Math.max(0, performance.now() - started - decode - networks);
    this.steps[who].push([`The ${who}: decode and answer`, "server", decode + networks]);
    this.steps[who].push(["Upload and way back", "network", way]);
    return answer;
  }
}

async function take(file, sent = []) {
  current?.stop();
  const journey = (current = new Journey(file, sent));
  calm();
  results.begin();
  say("Reading the picture …");
  try {
    await follow(journey);
  } catch (error) {
    if (journey !== current) return;
    if (journey.shown) account(journey);
    else results.hide();
    complain(error, () => take(file, sent));
  } finally {
    journey.over = true;
  }
}

async function follow(journey) {
  const { file, means } = journey;
  const size = await measure(file);
  const most = Math.min(MOST_PIXELS, server.max_pixels);
  if (size.width * size.height > most) {
    const found = ((size.width * size.height) / MEGA).toFixed(0);
    throw new Problem(`The picture has ${found} megapixels; this page takes up to ${(most / MEGA).toFixed(0)}.`);
  }
  const made = await maker.make(file, means);
  if (journey !== current) return;
  journey.shown = true;
  results.showPictures({ file, size, ...made });
  account(journey);
  say("The student looks at the thumbnail …");
  const path = "classify?top=5&given=thumbnail";
  const answer = await journey.ask("student", path, made.learned, "thumbnail", "the learned thumbnail");
  if (journey !== current) return;
  results.showAnswer("student", answer.ranked);
  account(journey);
  say(`The student says ${answer.label}, ${percent(answer.score)}.`);
}

function account({ file, sent, steps }) {
  results.showSent(sent, file.size);
  results.showSteps("student", steps.student);
  if (steps.teacher.length) results.showSteps("teacher", steps.teacher);
  if (server.teacher) results.offerTeacher(file.size);
}

async function askTeacher() {
  const journey = current;
  calm();
  say("The teacher looks at the whole picture …");
  at("ask-teacher").disabled = true;
  try {
    const answer = await journey.ask("teacher", "teacher?top=5", journey.file, "picture", "the whole picture");
    if (journey !== current) return;
    results.showAnswer("teacher", answer.ranked);
    say(`The teacher says ${answer.label}, ${percent(answer.score)}.`);
  } catch (error) {
    if (journey === current) complain(error, askTeacher);
  } finally {
    at("ask-teacher").disabled = false;
    if (journey === current) account(journey);
  }
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = false;
}

/** The server makes the thumbnails from now on. */
function letServer(reason) {
  maker = new There(server.thumbnail_side);
  notice(`${reason} The server makes the thumbnails instead, so the whole picture is sent to it.`);
}

async function chooseMaker() {
  if (!server.browser) return letServer("The downscaler for the browser is not on this server.");
  maker = new Here();
  try {
    await maker.ready;
  } catch (error) {
    letServer(`The downscaler does not start in this browser (${error.message}).`);
  }
}

function offerSamples() {
  const buttons = server.samples.map((one) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const picture = Object.assign(new Image(), { src: one.url, alt: one.alt, loading: "lazy" });
    button.append(picture);
    const choose = () => {
      say("Fetching the sample …");
      sample(one).then((file) => take(file), (error) => complain(error, choose));
    };
    button.addEventListener("click", choose);
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  at("samples").replaceChildren(...buttons);
  at("offer").hidden = buttons.length === 0;
}

function listen() {
  at("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) take(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
  // Anywhere: a picture that misses the field must not replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) at("drop").classList.remove("over"); // it left the window
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) take(file);
    else complain(new Problem("What was dropped is no file. Save the picture first, then drop it."));
  });
  at("ask-teacher").addEventListener("click", askTeacher);
  at("smooth").addEventListener("change", ({ target }) => at("pictures").classList.toggle("smooth", target.checked));
  at("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    carry(at("token").value.trim());
    if (retry) retry();
    else if (current && !current.over) take(current.file, current.sent); // it is on its way with the old token
    else say("The token will be used from now on.");
  });
}

async function start() {
  at("again").addEventListener("click", () => retry?.());
  try {
    server = await about();
  } catch (error) {
    return complain(error, () => location.reload());
  }
  calm();
  const { thumbnail_side: side } = server;
  at("lead").textContent =
    `A learned downscaler shrinks your picture to ${side} × ${side} pixels. A network trained on such thumbnails ` +
    `says which of ${server.classes} classes it shows.`;
  at("token-form").hidden = !server.token;
  results.frameAs(server.seen);
  listen();
  offerSamples();
  await chooseMaker();
}

start();
