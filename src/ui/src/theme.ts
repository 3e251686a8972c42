import { Alert, Anchor, Badge, createTheme, type CSSVariablesResolver } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "teal",
  primaryShade: 9,
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "md",
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  headings: { fontWeight: "650" },
  components: {
    Alert: Alert.extend({ styles: { title: { color: "var(--mantine-color-text)" } } }),
    // By name only: the first page has no dialog, and should not fetch them.
    Drawer: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    Modal: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    // What scrolls by itself can be scrolled without a mouse.
    TableScrollContainer: { defaultProps: { scrollAreaProps: { viewportProps: { tabIndex: 0 } } } },
    Anchor: Anchor.extend({ defaultProps: { underline: "always" } }),
    Badge: Badge.extend({ defaultProps: { tt: "none", fw: 600 }, vars: (_, { size }) => ({ root: { "--badge-fz": size === "sm" ? "11px" : undefined, "--badge-height": size === "sm" ? "20px" : undefined } }) }),
  },
});

const COLOURS = ["teal", "orange", "red", "gray", "grape", "indigo", "yellow", "blue"];

/** The library's light variants are a little too pale to be read by everybody (WCAG 2.2, 1.4.3: 4.5 to 1). */
export const resolver: CSSVariablesResolver = () => ({
  // Of the darkest shade, the library makes hovering lighter than words on it can bear.
  variables: {
    "--mantine-primary-color-filled-hover": "color-mix(in srgb, var(--mantine-primary-color-filled), black 15%)",
    ...Object.fromEntries(COLOURS.map((colour) => [`--mantine-color-${colour}-filled-hover`, `color-mix(in srgb, var(--mantine-color-${colour}-filled), black 15%)`])),
  },
  light: {
    "--lane-ground": "var(--mantine-color-gray-0)",
    "--lane-card": "var(--mantine-color-white)",
    "--lane-line": "var(--mantine-color-gray-2)",
    "--lane-hover": "var(--mantine-color-gray-1)",
    "--lane-free": "var(--mantine-color-gray-2)",
    "--lane-kept": "var(--mantine-color-gray-5)",
    "--mantine-color-dimmed": "var(--mantine-color-gray-7)",
    "--mantine-color-placeholder": "var(--mantine-color-gray-7)",
    ...Object.fromEntries(
      COLOURS.flatMap((colour) => [
        [`--mantine-color-${colour}-light`, `var(--mantine-color-${colour}-0)`],
        [`--mantine-color-${colour}-light-color`, `color-mix(in srgb, var(--mantine-color-${colour}-9), black 35%)`],
        [`--mantine-color-${colour}-outline`, `color-mix(in srgb, var(--mantine-color-${colour}-9), black 15%)`],
      ]),
    ),
  },
  dark: {
    "--lane-ground": "var(--mantine-color-dark-8)",
    "--lane-card": "var(--mantine-color-dark-7)",
    "--lane-line": "var(--mantine-color-dark-5)",
    "--lane-hover": "var(--mantine-color-dark-6)",
    "--lane-free": "var(--mantine-color-dark-5)",
    "--lane-kept": "var(--mantine-color-dark-2)",
    "--mantine-color-dimmed": "var(--mantine-color-dark-1)",
    "--mantine-color-placeholder": "var(--mantine-color-dark-1)",
    ...Object.fromEntries(
      COLOURS.flatMap((colour) => [
        [`--mantine-color-${colour}-light`, `color-mix(in srgb, var(--mantine-color-${colour}-9), black 60%)`],
        [`--mantine-color-${colour}-light-color`, `var(--mantine-color-${colour}-1)`],
        [`--mantine-color-${colour}-outline`, `var(--mantine-color-${colour}-3)`],
      ]),
    ),
    // The library's grey would be darker than the card it stands on.
    "--mantine-color-gray-light": "var(--mantine-color-dark-5)",
  },
});

/** A candidate keeps its colour on every picture; each is light enough for black words. */
const PALETTE = ["teal.6", "orange.6", "indigo.4", "pink.4", "lime.7", "grape.4", "cyan.5", "yellow.7"];
export const colourOf = (at: number): string => PALETTE[at % PALETTE.length] as string;
/** The same, whatever the order in which the candidates are told. */
export const colourAmong = (names: readonly string[], name: string): string => colourOf([...names].sort().indexOf(name));
/** As a style sheet names it. */
export const css = (colour: string): string => `var(--mantine-color-${colour.replace(".", "-")})`;
