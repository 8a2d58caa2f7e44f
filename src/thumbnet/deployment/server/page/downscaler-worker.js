// The downscaler in onnxruntime-web, beside the page, so that the page answers while it works.

import * as ort from "./ort/ort.wasm.min.mjs";

const here = (name) => new URL(name, import.meta.url).href;

ort.env.wasm.numThreads = 1; // more need shared memory, for which the page would have to be isolated
ort.env.wasm.wasmPaths = here("./ort/");
ort.env.logLevel = "error";

const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
const session = ort.InferenceSession.create(here("./browser.onnx"), options);
session.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ ready: false, reason: String(error?.message ?? error) }),
);

onmessage = async ({ data: { id, rgb, width, height } }) => {
  try {
    const graph = await session;
    const started = performance.now();
    const picture = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
    const { thumbnail, plain } = await graph.run({ picture });
    const milliseconds = performance.now() - started;
    postMessage({ id, thumbnail: thumbnail.data, plain: plain.data, side: thumbnail.dims[1], milliseconds });
  } catch (error) {
    postMessage({ id, reason: String(error?.message ?? error) });
  }
};
