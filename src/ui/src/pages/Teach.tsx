export default function Teach() {
  return null;
}
