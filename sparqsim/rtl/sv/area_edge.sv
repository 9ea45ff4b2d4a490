// What one row of an output-stationary array has at its edge: the trim unit and the register behind it.
`include "parameters.svh"
module area_edge #(`PE_PARAMETERS) (
    input clk,
    input rst,
    input advance,
    input in_valid,
    input [1:0] in_flags,
    input [XW-1:0] in_data,
    output out_valid,
    output [1:0] out_flags,
    output [AW-1:0] out_data
);
    wire unused_ready;
    edge_lane #(`PE_PASS, .ACTIVATION(1)) lane(
        clk, rst, advance, in_valid, in_flags, in_data, unused_ready, out_valid, out_flags, out_data, 1'b1);
endmodule
