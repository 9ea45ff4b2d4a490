// Four activations and two weights with their places, {place2, place1, w2, w1}: the activations there are a pair for the trim unit, which
// every PE has for itself. Where a weight is 0 there is none, and no activation either: the other one is lone.
module dot_stc_sparq #(parameter BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1) (
    input [31:0] x,
    input [19:0] w,
    output signed [`VALUE-1:0] value
);
    wire [7:0] w1 = w[7:0], w2 = w[15:8];
    wire [7:0] chosen1 = x[8*w[17:16]+:8], chosen2 = x[8*w[19:18]+:8];
    wire [2*(BITS+CODE):0] pair;
    wire lone, lost;
    trim_unit #(BITS, STRIDE, PLACES, CODE, LONE_PLACES, ROUND) trim(
        w1 != 0 ? chosen1 : 8'd0, w2 != 0 ? chosen2 : 8'd0, pair, lone, lost);
    dot_sparq #(BITS, STRIDE, CODE) dot(pair, w[15:0], value);
endmodule
