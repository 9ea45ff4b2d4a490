// dot_mac with its products in a register.
module staged_mac #(parameter LANES = 1, XBITS = 8, WBITS = 8, SIGNED = 0) (
    input clk,
    input [LANES*XBITS-1:0] x,
    input [LANES*WBITS-1:0] w,
    output signed [`VALUE-1:0] value
);
    genvar k;
    generate
        for (k = 0; k < LANES; k = k + 1) begin : lane
            wire signed [XBITS:0] activation = {(SIGNED != 0) & x[k*XBITS+XBITS-1], x[k*XBITS+:XBITS]};
            wire signed [WBITS-1:0] weight = w[k*WBITS+:WBITS];
            reg signed [XBITS+WBITS:0] product;
            always @(posedge clk) product <= activation * weight;
            wire signed [`VALUE-1:0] sum;
            if (k == 0) begin : one
                assign sum = product;
            end else begin : more
                assign sum = lane[k-1].sum + product;
            end
        end
    endgenerate
    assign value = lane[LANES-1].sum;
endmodule
