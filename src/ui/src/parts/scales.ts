// The scales that our charts have, in place of all that the chart library could look up by name: times, their words in
// all their forms and colours weigh more than the rest of it.

export { scaleBand, scaleLinear, scalePoint } from "d3-scale";
