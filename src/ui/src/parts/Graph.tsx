import { Box, useComputedColorScheme, useMantineTheme } from "@mantine/core";
import { type Simulation, type SimulationLinkDatum, type SimulationNodeDatum, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import { useEffect, useRef } from "react";
import type { Places, Receipt } from "../router";
import { colourOf } from "../theme";

interface Node extends SimulationNodeDatum { id: number; tag: string; prompt: string }
type Link = SimulationLinkDatum<Node> & { likeness: number };

const HEIGHT = 340;
const QUERY = -1;

/** A sample of the examples, like ones near each other; the prompt in the middle of those that speak about it. */
export function Graph({ places, receipt }: { places: Places; receipt: Receipt }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useMantineTheme();
  const dark = useComputedColorScheme("light") === "dark";
  const held = useRef<{ simulation: Simulation<Node, Link>; nodes: Node[]; links: Link[] }>(undefined);

  useEffect(() => {
    const kept = new Map(held.current?.nodes.map((node) => [node.id, node]));
    const nodes: Node[] = places.nodes.map((node) => ({ ...node, x: kept.get(node.id)?.x, y: kept.get(node.id)?.y }));
    const known = new Set(nodes.map((node) => node.id));
    nodes.push({ id: QUERY, tag: receipt.tag, prompt: "this prompt", x: kept.get(QUERY)?.x, y: kept.get(QUERY)?.y });
    const links: Link[] = [
      ...places.links.map(([source, target, likeness]) => ({ source, target, likeness }) as unknown as Link),
      ...receipt.neighbours.filter((each) => known.has(each.example)).map((each) => ({ source: QUERY, target: each.example, likeness: each.similarity }) as unknown as Link),
    ];
    const simulation = forceSimulation<Node, Link>(nodes)
      .force("link", forceLink<Node, Link>(links).id((node) => node.id).distance((link) => 14 + 70 * (1 - link.likeness)).strength((link) => Math.max(link.likeness, 0.05) * 0.6))
      .force("apart", forceManyBody().strength(-14).distanceMax(160))
      .force("x", forceX(0).strength(0.05))
      .force("y", forceY(0).strength(0.09))
      .stop();
    // Laid out before it is shown: a picture that dances tells nothing.
    for (let turn = 0; turn < 160; turn++) simulation.tick();
    held.current = { simulation, nodes, links };
    draw(canvas.current, nodes, links, receipt, dark, (at) => resolved(theme.colors, colourOf(at)));
  }, [places, receipt, dark, theme]);

  const like = receipt.neighbours.length;
  return (
    <Box>
      <canvas ref={canvas} height={HEIGHT} style={{ width: "100%", height: HEIGHT }} role="img" aria-label={`${places.nodes.length} examples as dots, coloured by kind of task; ${like} of them, the nearest, are tied to the prompt`} />
    </Box>
  );
}

function resolved(colors: Record<string, readonly string[]>, colour: string): string {
  const [name, shade] = colour.split(".");
  return colors[name as string]?.[Number(shade)] ?? "#888";
}

function draw(canvas: HTMLCanvasElement | null, nodes: Node[], links: Link[], receipt: Receipt, dark: boolean, colour: (at: number) => string): void {
  const pen = canvas?.getContext("2d");
  if (!canvas || !pen) return;
  const width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const [xs, ys] = [nodes.map((node) => node.x ?? 0), nodes.map((node) => node.y ?? 0)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const fit = Math.min((width - 40) / Math.max(right - left, 1), (HEIGHT - 40) / Math.max(bottom - top, 1), 2.5);
  pen.setTransform(scale * fit, 0, 0, scale * fit, scale * (width / 2 - (fit * (left + right)) / 2), scale * (HEIGHT / 2 - (fit * (top + bottom)) / 2));
  const tags = [...new Set(nodes.filter((node) => node.id !== QUERY).map((node) => node.tag))].sort();
  const near = new Set(receipt.neighbours.map((each) => each.example));
  for (const link of links) {
    const [from, to] = [link.source as Node, link.target as Node];
    const used = from.id === QUERY;
    pen.strokeStyle = used ? (dark ? "#fff" : "#111") : dark ? "rgba(255,255,255,.13)" : "rgba(0,0,0,.10)";
    pen.lineWidth = (used ? 1.6 : 0.7) / fit;
    pen.beginPath();
    pen.moveTo(from.x ?? 0, from.y ?? 0);
    pen.lineTo(to.x ?? 0, to.y ?? 0);
    pen.stroke();
  }
  for (const node of nodes) {
    const mine = node.id === QUERY;
    pen.beginPath();
    pen.arc(node.x ?? 0, node.y ?? 0, (mine ? 8 : near.has(node.id) ? 5.5 : 3.5) / fit, 0, 2 * Math.PI);
    pen.fillStyle = mine ? (dark ? "#fff" : "#111") : colour(tags.indexOf(node.tag));
    pen.globalAlpha = mine || near.has(node.id) ? 1 : 0.7;
    pen.fill();
    pen.globalAlpha = 1;
  }
}
