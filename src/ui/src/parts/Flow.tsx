import { SankeyChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import { useMemo } from "react";
import type { Way } from "../feed";
import { count } from "../words";

const COLOURS: Record<Way["kind"], string> = { served: "var(--mantine-color-teal-6)", moved: "var(--mantine-color-orange-5)", failed: "var(--mantine-color-red-6)" };
const ROW = 46;

interface Drawn { sourceX: number; targetX: number; sourceY: number; targetY: number; sourceControlX: number; targetControlX: number; linkWidth: number; payload: object }

/** Lanes at the left, hosts at the right; what was not the first choice in another colour. */
export default function Flow({ ways }: { ways: Way[] }) {
  const data = useMemo(() => {
    const lanes = [...new Set(ways.map((way) => way.lane))].sort();
    const hosts = [...new Set(ways.map((way) => way.host))].sort();
    return {
      nodes: [...lanes.map((name) => ({ name, color: "gray.6" })), ...hosts.map((name) => ({ name: `${name} `, color: name === "not served" ? "red.6" : "teal.8" }))],
      links: ways.map((way) => ({ source: lanes.indexOf(way.lane), target: lanes.length + hosts.indexOf(way.host), value: way.count, kind: way.kind })),
      rows: Math.max(lanes.length, hosts.length),
    };
  }, [ways]);
  return (
    <SankeyChart
      role="img"
      aria-label={`Where requests went: ${ways.map((way) => `${way.count} of ${way.lane} to ${way.host}${way.kind === "moved" ? ", not the first choice" : ""}`).join("; ")}`}
      data={data}
      height={Math.max(150, data.rows * ROW)}
      nodeWidth={8}
      nodePadding={18}
      valueFormatter={count}
      withTooltip={false}
      sankeyProps={{ margin: { top: 8, bottom: 8, left: 0, right: 0 }, link: (drawn: Drawn) => <Ribbon {...drawn} /> }}
    />
  );
}

function Ribbon({ sourceX, targetX, sourceY, targetY, sourceControlX, targetControlX, linkWidth, payload }: Drawn) {
  return <path d={`M${sourceX},${sourceY}C${sourceControlX},${sourceY} ${targetControlX},${targetY} ${targetX},${targetY}`} fill="none" stroke={COLOURS[(payload as { kind?: Way["kind"] }).kind ?? "served"]} strokeWidth={Math.max(linkWidth, 1.5)} strokeOpacity={0.45} />;
}
