// STAGES registers in a row that move on `advance`.
module delay #(parameter WIDTH = 8, STAGES = 1) (
    input clk,
    input rst,
    input advance,
    input [WIDTH-1:0] in,
    output [WIDTH-1:0] out
);
    generate
        if (STAGES == 0) begin : wires
            assign out = in;
        end else begin : registers
            reg [WIDTH*STAGES-1:0] stages;
            always @(posedge clk)
                if (rst) stages <= 0;
                else if (advance) stages <= {stages, in};
            assign out = stages[WIDTH*STAGES-1-:WIDTH];
        end
    endgenerate
endmodule
