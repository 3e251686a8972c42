import { Box, Group, Text, useComputedColorScheme, useMantineTheme } from "@mantine/core";
import { type SimulationLinkDatum, type SimulationNodeDatum, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import { type MouseEvent, useEffect, useMemo, useRef, useState } from "react";
import type { Places, Receipt } from "../router";
import { colourOf, css } from "../theme";
import { Key } from "./Panel";

interface Node extends SimulationNodeDatum { id: number; tag: string; prompt: string }
type Link = SimulationLinkDatum<Node> & { likeness: number };

const HEIGHT = 340;
const QUERY = -1;
const NEAR_PX = 12;
const MOST_TAGS = 8;

/** A sample of the examples, like ones near each other; the prompt in the middle of those that speak about it. */
export function Graph({ places, receipt }: { places: Places; receipt: Receipt }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useMantineTheme();
  const dark = useComputedColorScheme("light") === "dark";
  const held = useRef<{ nodes: Node[]; at: (node: Node) => [number, number] }>(undefined);
  const [read, setRead] = useState<Node>();
  const tags = useMemo(() => [...new Set(places.nodes.map((node) => node.tag))].sort(), [places]);

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
      .force("x", forceX(0).strength(0.035))
      .force("y", forceY(0).strength(0.11))
      .stop();
    // Laid out before it is shown: a picture that dances tells nothing.
    for (let turn = 0; turn < 160; turn++) simulation.tick();
    const at = draw(canvas.current, nodes, links, receipt, dark, (tag) => resolved(theme.colors, colourOf(tags.indexOf(tag))));
    if (at) held.current = { nodes, at };
  }, [places, receipt, dark, theme, tags]);

  const find = (event: MouseEvent<HTMLCanvasElement>) => {
    const [x, y] = [event.nativeEvent.offsetX, event.nativeEvent.offsetY];
    const away = (node: Node) => { const [left, top] = held.current?.at(node) ?? [0, 0]; return Math.hypot(left - x, top - y); };
    const nearest = held.current?.nodes.filter((node) => node.id !== QUERY).sort((a, b) => away(a) - away(b))[0];
    setRead(nearest && away(nearest) < NEAR_PX ? nearest : undefined);
  };
  const like = receipt.neighbours.length;
  return (
    <Box>
      <canvas ref={canvas} height={HEIGHT} style={{ width: "100%", height: HEIGHT }} onMouseMove={find} onMouseLeave={() => setRead(undefined)} role="img" aria-label={`${places.nodes.length} examples as dots, coloured by kind of task; ${like} of them, the nearest, are tied to the prompt`} />
      <Group gap="md" mt={4}>
        <Key colour="var(--mantine-color-text)" words="this prompt, tied to its nearest examples" />
        {tags.length > 1 && tags.slice(0, MOST_TAGS).map((tag, at) => <Key key={tag} colour={css(colourOf(at))} words={tag.slice(0, 24) || "no kind"} />)}
      </Group>
      <Text size="xs" c="dimmed" mt={4} mih={18} truncate>{read ? read.prompt : "Point at a dot to read its prompt."}</Text>
    </Box>
  );
}

function resolved(colors: Record<string, readonly string[]>, colour: string): string {
  const [name, shade] = colour.split(".");
  return colors[name as string]?.[Number(shade)] ?? "#888";
}

/** Draws, and says where each node lies in the picture. */
function draw(canvas: HTMLCanvasElement | null, nodes: Node[], links: Link[], receipt: Receipt, dark: boolean, colour: (tag: string) => string): ((node: Node) => [number, number]) | undefined {
  const pen = canvas?.getContext("2d");
  if (!canvas || !pen) return undefined;
  const width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const at = fitted(nodes, width);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const near = new Set(receipt.neighbours.map((each) => each.example));
  for (const link of links) {
    const used = (link.source as Node).id === QUERY;
    pen.strokeStyle = used ? (dark ? "#fff" : "#111") : dark ? "rgba(255,255,255,.16)" : "rgba(0,0,0,.12)";
    pen.lineWidth = used ? 1.6 : 0.7;
    pen.beginPath();
    pen.moveTo(...at(link.source as Node));
    pen.lineTo(...at(link.target as Node));
    pen.stroke();
  }
  for (const node of nodes) {
    const mine = node.id === QUERY;
    pen.beginPath();
    pen.arc(...at(node), mine ? 8 : near.has(node.id) ? 6 : 4, 0, 2 * Math.PI);
    pen.fillStyle = mine ? (dark ? "#fff" : "#111") : colour(node.tag);
    pen.globalAlpha = mine || near.has(node.id) ? 1 : 0.7;
    pen.fill();
    pen.globalAlpha = 1;
  }
  return at;
}

/** As wide and as high as there is room, but not out of shape. */
function fitted(nodes: Node[], width: number): (node: Node) => [number, number] {
  const [xs, ys] = [nodes.map((node) => node.x ?? 0), nodes.map((node) => node.y ?? 0)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const [across, down] = [(width - 30) / Math.max(right - left, 1), (HEIGHT - 30) / Math.max(bottom - top, 1)];
  const [x, y] = [Math.min(across, 2 * down, 3), Math.min(down, 2 * across, 3)];
  return (node) => [width / 2 + x * ((node.x ?? 0) - (left + right) / 2), HEIGHT / 2 + y * ((node.y ?? 0) - (top + bottom) / 2)];
}
