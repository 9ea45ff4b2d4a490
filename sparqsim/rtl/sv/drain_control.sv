// Shifts one column's sums out at the bottom, the lowest row first, from the cycle after the bottom PE is done: ROWS cycles.
// Row r takes the sum above it r times and then keeps still, so that it can hold the next tile's sum while those below still shift.
// `leaving`: the row gives its last sum in this cycle.
module drain_control #(parameter ROWS = 2) (
    input clk,
    input rst,
    input advance,
    input done,
    output [ROWS-1:0] shift,
    output [ROWS-1:0] leaving,
    output valid
);
    reg [ROWS-1:0] holds;  // row r still has a sum to give
    always @(posedge clk)
        if (rst) holds <= 0;
        else if (advance) holds <= done ? {ROWS{1'b1}} : holds << 1;
    assign shift = advance ? holds << 1 : 0;
    assign leaving = holds & ~shift;
    assign valid = advance & holds[ROWS-1];
endmodule
