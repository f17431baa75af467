/** Where the page's files are: beside it on a server, or inside of it, gzipped and in base64, where it is one file. */

import type { BundleSource } from "../src/bundle/source.js";
import { tooLong, urlSource } from "../src/bundle/source.js";

/** What `edgeformer export-web` wrote into the page. */
export interface PageConfig {
  readonly embedded: boolean;
  /** Versions of the engines that are there, by name. */
  readonly engines: Readonly<Record<string, string>>;
  /** The variants whose files are there. */
  readonly variants: readonly string[];
  readonly labels: number;
}

export interface PageFiles {
  readonly bundle: BundleSource;
  /** An address that a script or module can be loaded from. */
  url(path: string, type?: string): Promise<string>;
  /** Content of a file inside the page; null where files lie beside it, and engines fetch them themselves. */
  inside(path: string): Promise<Uint8Array | null>;
}

/** A file inside the page as it stands there; null where there is none. */
export type PackedText = (path: string) => Promise<string | null>;

export function readConfig(): PageConfig {
  return JSON.parse(document.getElementById("edgeformer-page")?.textContent ?? "") as PageConfig;
}

/** Of a page with a document; a worker asks its page. */
export async function textInPage(path: string): Promise<string | null> {
  return document.querySelector(`script[data-path="${CSS.escape(path)}"]`)?.textContent ?? null;
}

/** `base`: the page's address. */
export function pageFiles(config: PageConfig, base: string, packed: PackedText): PageFiles {
  return config.embedded ? embedded(packed) : beside(base);
}

function beside(base: string): PageFiles {
  const url = (path: string): string => new URL(path, base).href;
  return { bundle: urlSource(url("bundle/")), url: async (path) => url(path), inside: async () => null };
}

function embedded(packed: PackedText): PageFiles {
  const inside = async (path: string): Promise<Uint8Array | null> => {
    const text = await packed(path);
    if (text === null) return null;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const where = "the bundle in this page";
  const bundle: BundleSource = {
    where,
    list: async () => null,
    read: async (path, mostBytes) => {
      const content = await inside(`bundle/${path}`);
      if (content !== null && content.length > mostBytes) tooLong(where, path, mostBytes);
      return content;
    },
  };
  const url = async (path: string, type: string = "text/javascript"): Promise<string> => {
    const content = await inside(path);
    if (content === null) throw new Error(`the page holds no ${path}: export it again`);
    return URL.createObjectURL(new Blob([content as BlobPart], { type }));
  };
  return { bundle, url, inside };
}
