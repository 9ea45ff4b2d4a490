// What one row or column has at an array's edge beside its skew: edge_lane with FLAGS flags, or (FLAGS = 0) one that carries none.
`include "parameters.svh"
module area_lane #(`PE_PARAMETERS, parameter ACTIVATION = 1, DEPTH = 0, FLAGS = 2,
                   IN = ACTIVATION ? XW : `STORED_W, OUT = ACTIVATION ? AW : WW) (
    input clk,
    input rst,
    input advance,
    input in_valid,
    input [1:0] in_flags,
    input [IN-1:0] in_data,
    input out_pop,
    output in_ready,
    output out_valid,
    output [1:0] out_flags,
    output [OUT-1:0] out_data
);
    wire moves = DEPTH != 0 | advance;
    wire [1:0] flags = FLAGS == 2 ? in_flags : FLAGS == 1 ? {1'b0, in_flags[0]} : 2'b0;
    edge_lane #(`PE_PASS, .ACTIVATION(ACTIVATION), .DEPTH(DEPTH)) lane(
        clk, rst, moves, in_valid, flags, in_data, in_ready, out_valid, out_flags, out_data, out_pop);
endmodule
