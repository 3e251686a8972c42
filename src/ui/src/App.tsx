import { ActionIcon, Alert, Anchor, AppShell, Badge, Burger, Center, Group, Loader, NavLink, Text, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconAdjustments, IconChartBar, IconGauge, IconListDetails, IconLockOpen, IconLogout, IconMoon, IconRoute, IconSchool, IconSun } from "@tabler/icons-react";
import { type ComponentType, Suspense, useEffect, useState } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import Overview from "./pages/Overview";
import { Nowhere, part } from "./part";
import { useSession } from "./session";

interface Page {
  path: string;
  name: string;
  icon: ComponentType<{ size?: number; "aria-hidden"?: boolean }>;
  view: ComponentType;
  /** Of an operator: it is about all tenants. */
  whole?: boolean;
}

const Choose = part(() => import("./parts/Choose"), Nowhere);
const Notices = part(() => import("./parts/Notices"), Nowhere);
const PAGES: Page[] = [
  { path: "/", name: "Overview", icon: IconGauge, view: Overview, whole: true },
  { path: "/route", name: "See it route", icon: IconRoute, view: part(() => import("./pages/SeeRoute")) },
  { path: "/teach", name: "Teach", icon: IconSchool, view: part(() => import("./pages/Teach")) },
  { path: "/decisions", name: "Decisions and runs", icon: IconListDetails, view: part(() => import("./pages/Decisions")) },
  { path: "/usage", name: "Usage", icon: IconChartBar, view: part(() => import("./pages/Usage")), whole: true },
  { path: "/settings", name: "Settings", icon: IconAdjustments, view: part(() => import("./pages/Settings")) },
];

export function App() {
  const [opened, { toggle, close }] = useDisclosure();
  const [location] = useLocation();
  const { who, signOut } = useSession();
  const page = PAGES.find(({ path }) => path === location);
  // The overview does nothing of which there would be anything to tell.
  const [does, setDoes] = useState(false);
  if (!does && page && page.path !== "/") setDoes(true);

  useEffect(() => {
    document.title = page ? `${page.name} · Laneway` : "Laneway";
    close();
  }, [page, close]);

  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }} padding="md">
      <AppShell.Header className="card">
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Anchor href="#content" className="skip">Skip to the content</Anchor>
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={opened ? "Close the menu" : "Open the menu"} />
            <Link href="/" className="brand"><img src="/ui/icon.svg" alt="" width={26} height={26} /><Text component="span" fw={700} size="lg">Laneway</Text></Link>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <WhoseData whole={page?.whole ?? false} />
            <Scheme />
            {who.signed_in && (
              <ActionIcon variant="default" size="lg" aria-label="Sign out" onClick={() => void signOut()}><IconLogout size={18} aria-hidden /></ActionIcon>
            )}
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" className="card" aria-label="Pages">
        {PAGES.map(({ path, name, icon: Icon }) => (
          <NavLink key={path} component={Link} href={path} label={name} active={path === location} leftSection={<Icon size={18} aria-hidden />} aria-current={path === location ? "page" : undefined} />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <div className="inner">
          {who.open && (
            <Alert color="yellow" mb="md" py={8} icon={<IconLockOpen size={18} aria-hidden />}>
              <b>Open on this machine.</b> No key is configured, so whoever uses this machine may use and administer the gateway. <Anchor component={Link} href="/settings" inherit c="inherit" td="underline">Make a key</Anchor> to close it.
            </Alert>
          )}
          <Suspense fallback={<Center p="xl"><Loader aria-label="Loading" /></Center>}>
            <Switch>
              {PAGES.map(({ path, view }) => <Route key={path} path={path} component={view} />)}
              <Route><Redirect to="/" /></Route>
            </Switch>
          </Suspense>
        </div>
        {does && <Suspense><Notices /></Suspense>}
      </AppShell.Main>
    </AppShell>
  );
}

/** A caller sees its own tenant; an operator says whose data he looks at. */
function WhoseData({ whole }: { whole: boolean }) {
  const { who, tenant } = useSession();
  if (!who.admin) return <Badge variant="light" size="lg" tt="none">{tenant}</Badge>;
  if (whole) return <Badge variant="light" color="gray" size="lg">all tenants</Badge>;
  return <Suspense><Choose key={tenant} /></Suspense>;
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light") === "dark";
  return (
    <ActionIcon variant="default" size="lg" aria-label={dark ? "Use light colours" : "Use dark colours"} onClick={() => setColorScheme(dark ? "light" : "dark")}>
      {dark ? <IconSun size={18} aria-hidden /> : <IconMoon size={18} aria-hidden />}
    </ActionIcon>
  );
}
