// Elastic links: when the last of a column's sums starts to move. A PE whose last step is short may be done before those above it.
module gather #(parameter ROWS = 2) (
    input clk,
    input rst,
    input [ROWS-1:0] now,  // the row's sum starts to move in this cycle
    output whole
);
    reg [ROWS-1:0] moved;
    assign whole = &(moved | now);
    always @(posedge clk) moved <= rst | whole ? 0 : moved | now;
endmodule
