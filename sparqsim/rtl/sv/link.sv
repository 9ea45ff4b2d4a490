// The link from one PE to the next. DEPTH = 0: a register that moves on `advance`, with the whole array.
// DEPTH > 0: a FIFO; a push needs a slot that was free at the start of the cycle.
module link #(parameter WIDTH = 8, DEPTH = 0) (
    input clk,
    input rst,
    input advance,
    input in_valid,
    input [WIDTH-1:0] in_data,
    output in_ready,
    output out_valid,
    output [WIDTH-1:0] out_data,
    input out_pop
);
    generate
        if (DEPTH == 0) begin : register
            reg valid;
            reg [WIDTH-1:0] data;
            always @(posedge clk)
                if (rst) valid <= 0;
                else if (advance) valid <= in_valid;
            always @(posedge clk) if (advance) data <= in_data;
            assign in_ready = 1'b1;
            assign out_valid = valid;
            assign out_data = data;
        end else begin : fifo
            reg [WIDTH-1:0] slots[0:DEPTH-1];
            localparam AT = DEPTH > 1 ? $clog2(DEPTH) : 1;  // bits of a place
            reg [$clog2(DEPTH+1)-1:0] count;
            reg [AT-1:0] head, tail;
            wire push = in_valid & in_ready;
            assign in_ready = count != DEPTH;
            assign out_valid = count != 0;
            assign out_data = slots[head];
            always @(posedge clk) begin
                if (push) slots[tail] <= in_data;
                if (rst) begin
                    count <= 0;
                    head <= 0;
                    tail <= 0;
                end else begin
                    count <= count + push - out_pop;
                    if (push) tail <= tail == DEPTH - 1 ? 0 : tail + 1;
                    if (out_pop) head <= head == DEPTH - 1 ? 0 : head + 1;
                end
            end
        end
    endgenerate
endmodule
