// Sends stationary operands into a column of an array with elastic links and OVERLAP: row 0's first, one a cycle, each once its PE has
// taken up the one before. An operand carries the number of rows it has yet to pass.
module load_control #(parameter ROWS = 2, WIDTH = 8, PLACE = 1) (
    input clk,
    input rst,
    input in_valid,
    input [WIDTH-1:0] in_data,
    output in_ready,
    input [ROWS-1:0] taken,  // the PE takes its operand up in this cycle
    output out_valid,
    output [WIDTH+PLACE-1:0] out_data
);
    reg [PLACE-1:0] row;
    reg [ROWS-1:0] sent;  // an operand is on its way to the row, or waits there
    assign in_ready = ~sent[row] | taken[row];
    assign out_valid = in_valid & in_ready;
    assign out_data = {row, in_data};
    always @(posedge clk)
        if (rst) begin
            row <= 0;
            sent <= 0;
        end else begin
            if (out_valid) row <= row == ROWS - 1 ? 0 : row + 1;
            sent <= sent & ~taken | {{ROWS-1{1'b0}}, out_valid} << row;
        end
endmodule
