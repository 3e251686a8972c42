// Refuses a build in which a part of the component library is used without its style, or has one without being used.

import type { Plugin, Rolldown } from "vite";

const STYLE = /styles\/(\w+)\.layer\.css$/;
const PART = /@mantine\/core\/.*\/(\w+)\.module\.mjs$/;
/** What every part needs. */
const GLOBAL = ["baseline", "global"];

const named = (ids: Iterable<string>, kind: RegExp): string[] => [...ids].flatMap((id) => kind.exec(id.split("?")[0] as string)?.[1] ?? []);
const partsOf = (chunks: Rolldown.OutputChunk[]): string[] => named(chunks.flatMap(({ modules }) => Object.keys(modules).filter((id) => modules[id]?.renderedLength)), PART);

/** `first` imports the styles of what comes with the first page: the entry, and the `later` chunks of that page. */
export function stylesChecked({ first, later }: { first: string; later: string[] }): Plugin {
  return {
    name: "styles-checked",
    async generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((each) => each.type === "chunk");
      const early = chunks.filter((chunk) => chunk.isEntry || later.some((page) => chunk.facadeModuleId?.endsWith(page)));
      const ids = [...this.getModuleIds()];
      const come = named(this.getModuleInfo(ids.find((id) => id.endsWith(first)) ?? "")?.importedIds ?? [], STYLE);
      const all = named(ids.filter((id) => id.includes("@mantine/core")), STYLE);
      const used = new Set(partsOf(chunks));
      const wrong = all.filter((name) => !used.has(name) && !GLOBAL.includes(name)).map((name) => `${name} is not used: its style need not be imported`);
      for (const name of used) {
        if (all.includes(name) || !(await this.resolve(`@mantine/core/styles/${name}.layer.css`, ids.find((id) => id.endsWith(first))))) continue;
        wrong.push(`${name} is used: import its style in src/styles/rest.ts`);
      }
      for (const name of new Set(partsOf(early))) {
        if (all.includes(name) && !come.includes(name)) wrong.push(`${name} is on the first page: import its style in ${first}`);
      }
      if (wrong.length > 0) this.error(wrong.join("\n"));
    },
  };
}
