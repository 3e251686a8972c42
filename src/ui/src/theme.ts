import { createTheme } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "teal",
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  defaultRadius: "md",
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  headings: { fontWeight: "650" },
});

/** A candidate keeps its colour on every picture. */
const PALETTE = ["teal.6", "orange.6", "indigo.5", "pink.6", "lime.7", "grape.6", "cyan.7", "yellow.7"];
export const colourOf = (at: number): string => PALETTE[at % PALETTE.length] as string;
