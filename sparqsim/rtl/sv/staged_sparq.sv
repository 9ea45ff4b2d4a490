// dot_sparq with its products and their shifts in a register.
module staged_sparq #(parameter BITS = 4, STRIDE = 1, CODE = 3) (
    input clk,
    input [2*(BITS+CODE):0] pair,
    input [15:0] w,
    output signed [`VALUE-1:0] value
);
    wire [BITS-1:0] q1, q2;
    wire [CODE-1:0] code1, code2;
    wire mux;
    assign {mux, code2, code1, q2, q1} = pair;

    wire first = code1 > code2;
    wire signed [7:0] wa = mux & ~first ? w[15:8] : w[7:0];
    wire signed [7:0] wb = mux & first ? w[7:0] : w[15:8];
    reg signed [BITS+7:0] product1, product2;
    reg [CODE-1:0] shift1, shift2;
    always @(posedge clk) begin
        product1 <= $signed({1'b0, q1}) * wa;
        product2 <= $signed({1'b0, q2}) * wb;
        {shift1, shift2} <= {code1, code2};
    end

    wire signed [15:0] shifted1 = product1 <<< (shift1 * STRIDE);
    wire signed [15:0] shifted2 = product2 <<< (shift2 * STRIDE);
    assign value = shifted1 + shifted2;
endmodule
