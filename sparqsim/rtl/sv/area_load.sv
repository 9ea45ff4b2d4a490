// What loads one column of a stationary array with elastic links and overlap.
`include "parameters.svh"
module area_load #(`PE_PARAMETERS, parameter FLOW = 1, ROWS = 2, PLACE = 1, LW = FLOW == 1 ? WW : AW) (
    input clk,
    input rst,
    input in_valid,
    input [LW-1:0] in_data,
    input [ROWS-1:0] taken,
    output in_ready,
    output out_valid,
    output [LW+PLACE-1:0] out_data
);
    load_control #(ROWS, LW, PLACE) control(clk, rst, in_valid, in_data, in_ready, taken, out_valid, out_data);
endmodule
