import { Sparkline } from "@mantine/charts";
import "@mantine/charts/styles.css";

export default function Spark({ data, label }: { data: number[]; label: string }) {
  return <Sparkline h={28} data={data} color="teal" curveType="monotone" fillOpacity={0.3} role="img" aria-label={label} />;
}
