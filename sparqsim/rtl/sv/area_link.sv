// What passes an operand on: to the right (RIGHT) or downwards, as the arrays of FLOW do it. Lockstep downwards: without a flag of validity.
`include "parameters.svh"
module area_link #(`PE_PARAMETERS, parameter FLOW = 0, RIGHT = 1, DEPTH = 0,
                   WIDTH = FLOW == 0 ? (RIGHT ? AW + 2 : WW) : (FLOW == 1 ? AW : WW) + 1) (
    input clk,
    input rst,
    input advance,
    input in_valid,
    input [WIDTH-1:0] in_data,
    input out_pop,
    output in_ready,
    output out_valid,
    output [WIDTH-1:0] out_data
);
    wire held;
    assign out_valid = held & (RIGHT | DEPTH != 0);
    link #(WIDTH, DEPTH) link(
        clk, rst, DEPTH != 0 | advance, in_valid & (RIGHT | DEPTH != 0), in_data, in_ready, held, out_data, out_pop);
endmodule
