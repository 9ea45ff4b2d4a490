// What drains one column of an output-stationary array of ROWS rows.
module area_drain #(parameter ROWS = 2, DEPTH = 0) (
    input clk,
    input rst,
    input advance,
    input [ROWS-1:0] moving,
    output [ROWS-1:0] shift,
    output [ROWS-1:0] leaving,
    output valid
);
    wire whole;
    generate
        if (DEPTH == 0) begin : in_step
            assign whole = moving[ROWS-1];
        end else begin : gathered
            gather #(ROWS) gather(clk, rst, moving, whole);
        end
    endgenerate
    drain_control #(ROWS) drain(clk, rst, DEPTH != 0 | advance, whole, shift, leaving, valid);
endmodule
