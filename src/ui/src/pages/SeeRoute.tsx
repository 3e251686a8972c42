export default function SeeRoute() {
  return null;
}
