import { Box, Group, Stack, Text, Tooltip } from "@mantine/core";
import { type Receipt, short, type Stood } from "../router";
import { colourOf, css } from "../theme";
import { nanos } from "../words";

/** The expected quality of each candidate, with its uncertainty. */
export function Qualities({ receipt, names }: { receipt: Receipt; names: string[] }) {
  const best = Math.max(...receipt.standings.map((each) => each.quality ?? 0));
  return (
    <Stack gap={8}>
      {receipt.standings.map((each) => {
        const quality = each.quality ?? 0;
        const error = each.error ?? 0;
        const [low, high] = [Math.max(quality - 1.64 * error, 0), Math.min(quality + 1.64 * error, 1)];
        return (
          <Group key={each.candidate} wrap="nowrap" gap="sm">
            <Text size="sm" w={110} truncate>{short(each.candidate)}</Text>
            <Tooltip label={each.quality === null ? "nothing is known of it" : `${quality.toFixed(3)}, nine times in ten between ${low.toFixed(2)} and ${high.toFixed(2)}; rests on ${each.labels.toFixed(0)} labels`}>
              <Box pos="relative" h={18} flex={1} bg="var(--mantine-color-default-hover)" style={{ borderRadius: 4 }} role="img" aria-label={`${short(each.candidate)}: expected quality ${quality.toFixed(2)}, between ${low.toFixed(2)} and ${high.toFixed(2)}`}>
                <Box pos="absolute" top={0} left={0} h="100%" w={`${100 * quality}%`} style={{ background: css(colourOf(names.indexOf(each.candidate))), opacity: quality === best ? 1 : 0.65, borderRadius: 4 }} />
                <Box pos="absolute" top="50%" left={`${100 * low}%`} h={2} w={`${100 * (high - low)}%`} style={{ background: "var(--mantine-color-text)" }} />
              </Box>
            </Tooltip>
            <Text size="sm" w={44} ta="right" className="number">{each.quality === null ? "?" : quality.toFixed(2)}</Text>
          </Group>
        );
      })}
    </Stack>
  );
}

/** What it would cost, as far as prices are known. */
export function Costs({ receipt }: { receipt: Receipt }) {
  const most = Math.max(...receipt.standings.map((each) => each.cost_nanos ?? 0), 1);
  return (
    <Stack gap={8}>
      {receipt.standings.map((each: Stood) => (
        <Group key={each.candidate} wrap="nowrap" gap="sm">
          <Text size="sm" w={110} truncate>{short(each.candidate)}</Text>
          <Box h={12} flex={1}><Box h="100%" w={`${Math.max((100 * (each.cost_nanos ?? 0)) / most, 0.5)}%`} bg="gray.5" style={{ borderRadius: 4 }} /></Box>
          <Text size="sm" w={96} ta="right" className="number">{each.cost_nanos === null ? "no price" : nanos(each.cost_nanos)}</Text>
        </Group>
      ))}
    </Stack>
  );
}
