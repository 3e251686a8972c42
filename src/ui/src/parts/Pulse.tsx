import { AreaChart, BarChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import { useMemo } from "react";
import { minute } from "../words";
import { type Point, took } from "./Today";

const HEIGHT = 190;
const SERIES = [
  { name: "served", label: "first choice", color: "teal.6" },
  { name: "moved", label: "another host", color: "orange.5" },
  { name: "failed", label: "failed", color: "red.6" },
];

/** Whole minutes under the picture. */
function ticks(points: Point[]): number[] {
  return points.map((each) => each.at_s).filter((at_s) => at_s % 60 === 0);
}

export function Requests({ points, heard }: { points: Point[]; heard: number }) {
  const under = useMemo(() => ticks(points), [points]);
  const all = points.reduce((sum, each) => sum + each.served + each.moved + each.failed, 0);
  return (
    <BarChart
      role="img"
      aria-label={`Requests of the last 5 minutes in steps of 5 seconds: ${all}`}
      data-heard={heard}
      h={HEIGHT}
      data={points}
      dataKey="at_s"
      type="stacked"
      series={SERIES}
      withLegend
      legendProps={{ verticalAlign: "bottom", height: 28 }}
      tickLine="none"
      xAxisProps={{ ticks: under, interval: 0, tickFormatter: minute }}
      yAxisProps={{ width: 34, allowDecimals: false, interval: 0 }}
      barChartProps={{ accessibilityLayer: false }}
      barProps={{ isAnimationActive: false }}
      tooltipProps={{ labelFormatter: (label) => `${minute(Number(label))}, 5 seconds` }}
    />
  );
}

export function Latency({ points }: { points: Point[] }) {
  const under = useMemo(() => ticks(points), [points]);
  // One point makes no line.
  const lone = points.filter((each) => each.p50 !== null).length < 3;
  return (
    <AreaChart
      role="img"
      aria-label="Latency of the last 5 minutes: the half and the slowest twentieth of each 5 seconds"
      h={HEIGHT}
      data={points}
      dataKey="at_s"
      series={[{ name: "p95", label: "95% under", color: "indigo.4" }, { name: "p50", label: "half under", color: "teal.6" }]}
      withLegend
      legendProps={{ verticalAlign: "bottom", height: 28 }}
      tickLine="none"
      curveType="monotone"
      withDots={lone}
      dotProps={{ r: 3 }}
      connectNulls
      fillOpacity={0.25}
      valueFormatter={took}
      xAxisProps={{ ticks: under, interval: 0, tickFormatter: minute }}
      yAxisProps={{ width: 62, interval: 0 }}
      areaChartProps={{ accessibilityLayer: false }}
      areaProps={{ isAnimationActive: false }}
      tooltipProps={{ labelFormatter: (label) => `${minute(Number(label))}, 5 seconds` }}
    />
  );
}
