// What a PE adds to its partial sum, with a register behind the multipliers: `value` is of the operands of the cycle before.
`include "parameters.svh"
module dot_staged #(`PE_PARAMETERS) (
    input clk,
    input [AW-1:0] a,
    input [WW-1:0] w,
    output signed [`VALUE-1:0] value
);
    generate
        if (KIND == `SPARQ) begin : sparq
            staged_sparq #(BITS, STRIDE, CODE) unit(clk, a, w, value);
        end else begin : mac
            staged_mac #(LANES, XBITS, WBITS, SIGNED) unit(clk, a, w, value);
        end
    endgenerate
endmodule
