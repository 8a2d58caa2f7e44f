// The page's end of the downscaler that runs in the browser.

/** Starts it; `ready` resolves when it can work, and is rejected where it cannot in this browser. */
export class Downscaler {
  #worker = new Worker(new URL("./downscaler-worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #asked = 0;

  constructor() {
    this.ready = new Promise((good, bad) => {
      this.#worker.onerror = (event) => bad(new Error(event.message || "its files cannot be loaded"));
      this.#worker.onmessage = ({ data }) => {
        if (data.ready === true) good();
        else if (data.ready === false) bad(new Error(data.reason));
        else this.#settle(data);
      };
    });
    this.ready.catch(() => {}); // whoever waits for it is told
  }

  /** The learned and the plain thumbnail of a decoded picture, as pixels. */
  async thumbnails({ rgb, width, height }) {
    await this.ready;
    const id = ++this.#asked;
    return new Promise((good, bad) => {
      this.#waiting.set(id, { good, bad });
      this.#worker.postMessage({ id, rgb, width, height }, [rgb.buffer]);
    });
  }

  #settle({ id, reason, ...made }) {
    const { good, bad } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (reason) bad(new Error(reason));
    else good(made);
  }
}
