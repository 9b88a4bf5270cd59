// Writes test/vectors/: what an implementation in another language is tested with. See docs/integrity.md.
import { writeFile } from "node:fs/promises";

import { bundleFiles } from "./vectors/bundle.js";
import { vectorFiles } from "./vectors/files.js";

for (const [path, text] of [...(await vectorFiles()), ...(await bundleFiles())]) await writeFile(path, text);
