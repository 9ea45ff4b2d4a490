// What a PE of two stages tells the one below beside its sums, in a stationary array with elastic links: that one is on its way.
module area_promise #(parameter DEPTH = 1) (
    input clk,
    input rst,
    input start,
    input out_pop,
    output in_ready,
    output out_valid
);
    wire unused;
    link #(1, DEPTH) promise(clk, rst, 1'b1, start, 1'b1, in_ready, out_valid, unused, out_pop);
endmodule
