// A picture's two thumbnails, as PNG files: made in this browser, or by the server where that cannot be.

import { Downscaler } from "./downscaler.js";
import { asPng, decode } from "./pictures.js";
import { Problem, send } from "./server.js";

const LOST =
  "The picture is partly transparent. The server ignores transparency; this browser cannot show what is under it, so " +
  "the thumbnail may differ there.";
const KEPT = "The picture is partly transparent: transparency is ignored, and the colours under it are used.";
const UNABLE =
  "The downscaler does not start in this browser. Nothing was sent; try again to send the whole picture to the server.";

/** Makes them in this browser. Nothing is sent. */
export class Here {
  #downscaler = new Downscaler();
  ready = this.#downscaler.ready;

  async make(file, { say, took }) {
    say("Decoding the picture …");
    const picture = await took("Decode", "browser", () => decode(file));
    say("Making the thumbnails …");
    // The first time, its files may still be on the way. Who gave a picture before did not agree to send it.
    await this.ready.catch(() => {
      throw new Problem(UNABLE, { again: true });
    });
    const made = await this.#downscaler.thumbnails(picture).catch((error) => {
      throw new Problem(`The downscaler cannot take this picture in this browser (${error.message}).`);
    });
    took.add("Downscaler, learned and plain together", "browser", made.milliseconds);
    const both = () => Promise.all([asPng(made.thumbnail, made.side), asPng(made.plain, made.side)]);
    const [learned, plain] = await took("Write PNG", "browser", both);
    const notes = { opaque: [], kept: [KEPT], lost: [LOST] }[picture.hidden];
    return { learned, plain, side: made.side, notes };
  }
}

/** Lets the server make them, which takes the whole picture, once for each. */
export class There {
  ready = Promise.resolve();
  #side;

  constructor(side) {
    this.#side = side;
  }

  async make(file, { say, took, sent, signal }) {
    say("The server makes the thumbnails …");
    const one = (downscaler, what) => async () => {
      const reached = () => sent("picture", file.size, `the whole picture, for its ${what} thumbnail`);
      const answer = await send(`thumbnail?format=png&downscaler=${downscaler}`, file, signal, reached);
      return answer.blob();
    };
    const learned = await took("Upload, learned thumbnail", "server", one("learned", "learned"));
    const plain = await took("Upload, plain thumbnail", "server", one("bicubic", "plain"));
    return { learned, plain, side: this.#side, notes: [] };
  }
}
