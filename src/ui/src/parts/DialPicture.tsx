import { ScatterChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import type { Position } from "../router";
import { brief } from "../words";

/** Cost against quality: what each position of the dial would have done with the examples, and where it stands. */
export default function DialPicture({ positions, here }: { positions: Position[]; here: Position }) {
  const priced = positions.every((each) => each.usd_per_request !== null);
  const point = (each: Position) => ({ cost: priced ? (each.usd_per_request as number) * 1000 : each.cost_ratio, quality: 100 * each.quality });
  return (
    <ScatterChart
      h={240}
      data={[
        { name: "positions of the dial", color: "gray.5", data: positions.map(point) },
        { name: "you are here", color: "teal.7", data: [point(here)] },
      ]}
      dataKey={{ x: "cost", y: "quality" }}
      xAxisLabel={priced ? "USD for 1,000 requests" : "cost against the default"}
      yAxisLabel="quality, points"
      valueFormatter={{ x: (value) => (priced ? brief(value) : value.toFixed(2)), y: (value) => value.toFixed(0) }}
      yAxisProps={{ domain: ["auto", "auto"] }}
      withLegend
    />
  );
}
